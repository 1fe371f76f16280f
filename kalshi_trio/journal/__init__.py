"""The truth: every record in order, on disk before anybody acts on it."""
