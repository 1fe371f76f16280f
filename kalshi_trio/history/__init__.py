"""What was recorded, read again: imported, replayed, verified, asked for, drawn, handed on."""
