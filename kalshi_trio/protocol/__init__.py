"""Pure: no trio, clock, file, socket, logging or randomness in here; time is an argument."""
