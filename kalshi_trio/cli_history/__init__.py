"""The command line's second half: commands over sessions that were recorded or imported, one a file."""
