"""A session handed on in other shapes: its frames as lines, its rows as CSV, its books for two backtesters."""
