"""A session told once more: wholly or by choice, at a pace, into sinks, and proven equal."""
