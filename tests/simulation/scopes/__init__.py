"""Scopes of orders under faults: what they place, keep and leave is compared with the exchange's own record."""
