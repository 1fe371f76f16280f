"""`verify`: what a recording says of itself, held against its journal, and what its sinks hold against both."""
