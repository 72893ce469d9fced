"""The two users of the tests of the embedded exchange, and a trade between them."""

from __future__ import annotations

from tplus_trio.testing import Exchange
from tplus_trio.users import User

ALICE_SEED = bytes(range(32))

ALICE, BOB = User(ALICE_SEED), User()


def trade(exchange: Exchange, side: str, price: int, quantity: int) -> None:
    """Let Bob's order come first, and Alice's take it."""
    exchange.place(BOB, 200, "Sell" if side == "Buy" else "Buy", price, quantity)
    exchange.place(ALICE, 200, side, price, quantity)
