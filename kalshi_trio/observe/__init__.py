"""Watching: removable without changing a row."""
