"""The past over a websocket, for clients that are developed against it."""
