"""How two sessions of the same markets differ: what each has that the other lacks, and where their books part."""
