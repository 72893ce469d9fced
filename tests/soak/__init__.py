"""The soak: one client of each kind that lives long, while everything goes wrong now and then, and is measured.

``python -m tests.soak real`` runs for an hour of real time against an exchange in a process of its own;
``python -m tests.soak simulated`` lives through a month on a virtual clock. Both have the same actors and the faults of
the worlds of :mod:`tests.simulation`.
"""
