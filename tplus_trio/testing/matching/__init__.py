"""The matching engine: one market's order book, without I/O."""
