"""The simulation: client, exchange and network in one loop, on a virtual clock, from one seed.

A seed makes a world: its markets, its network, what its traders and users do, and its faults. Checkers compare what the
client delivers with what the exchange has, all the time. ``python -m tests.simulation --help`` runs worlds.
"""
