"""What can go wrong on the exchange, by name."""
