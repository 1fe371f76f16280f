"""Async: one task a file; tasks meet only in channels, never by import."""
