"""Receiving: from an endpoint to a connection that hands over all the frames that one read brought."""
