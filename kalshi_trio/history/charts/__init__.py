"""One market over time, as a picture."""
