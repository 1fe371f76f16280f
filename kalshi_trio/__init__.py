"""Records Kalshi's websocket feed without losing an event, knows exactly what it missed, and says so."""

__version__ = "0.1.0"
