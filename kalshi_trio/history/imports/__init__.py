"""Foreign recordings in: what their lines say, and the session that they become."""
