"""The exchange's logic without I/O: accounts, markets, feeds, orders, and the answers to requests."""
