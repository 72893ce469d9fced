"""Orders that belong to a block."""
