"""Any book at any instant: found, and shown as a ladder, as JSON or as a depth chart."""
