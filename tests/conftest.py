"""How the tests run: the same way each time, unless told to look further.

``pytest --hypothesis-profile=search`` draws new cases in every run, and prints what replays a failing one.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("search", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("fixed")
