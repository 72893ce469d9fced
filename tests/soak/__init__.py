"""The soak: long-running clients of each kind under occasional faults, with measurements.

``python -m tests.soak real`` runs for an hour of real time against an exchange in a process of its own;
``python -m tests.soak simulated`` runs a month on a virtual clock. Both have the same actors and the faults of
the worlds of :mod:`tests.simulation`.
"""
