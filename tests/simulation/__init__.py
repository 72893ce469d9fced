"""The simulation: client, exchange and network in one loop, on a virtual clock, from one seed.

A seed is a world: its markets, its network, what its traders and users do, what goes wrong and when. What the client
reads is held against what the exchange has, all along. ``python -m tests.simulation --help`` runs worlds.
"""
