"""Orders that belong to a block: handles, the orders of a key, leases, and how a block takes back what it placed."""
