"""A network in memory, and its weather."""
