"""Compares the client's speed with its peers: ``python -m tests.benchmarks``. See ``docs/performance.md``."""
