"""Storing rows, each exactly once."""
