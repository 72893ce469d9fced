"""The two users of the tests of the embedded exchange."""

from __future__ import annotations

from tplus_trio.users import User

ALICE_SEED = bytes(range(32))


ALICE, BOB = User(ALICE_SEED), User()
