"""An exchange with one market, many calls at once, and the requests for nonces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from tplus_trio import (
    TplusError,
    User,
)
from tplus_trio.testing import Exchange

URL = "http://exchange"


def exchange_with_market() -> Exchange:
    exchange = Exchange()
    exchange.add_market(200)
    return exchange


def nonces(exchange: Exchange, user: User) -> int:
    """Count the sign-ins that were begun."""
    return exchange.requests["GET", f"/nonce/{user.public_key}"]


async def in_parallel(count: int, call: Callable[[], Awaitable[object]]) -> list[Exception]:
    """Make a call many times at once; return what the calls raised."""
    errors: list[Exception] = []

    async def one() -> None:
        try:
            await call()
        except TplusError as exc:
            errors.append(exc)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    return errors
