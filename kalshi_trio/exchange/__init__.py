"""A simulated Kalshi: speaks the real protocol, plays recordings or generated markets, injects named faults."""
