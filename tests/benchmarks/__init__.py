"""How fast the client is beside its peers: ``python -m tests.benchmarks``. See ``docs/performance.md``."""
