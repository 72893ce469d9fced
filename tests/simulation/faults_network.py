"""Faults of connections, limits and tokens, for worlds that mix them with all others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import trio

from tplus_trio.testing import Response

if TYPE_CHECKING:
    from .faults import Injector

__all__ = ["NETWORK_FAULTS"]

_PAGE: Final = Response(503, b"<html><title>Maintenance</title></html>", (("content-type", "text/html"),))
_BIG_HEAD: Final = Response(503, b"", (("x-padding", "x" * 20_000),))


async def _rate_limited(injector: Injector) -> None:
    """REST and handshakes share a limit for a few seconds while all streams reconnect."""
    faults, rng = injector.network.exchange.faults, injector.rng
    faults.limit_rate(rng.uniform(2.0, 10.0), retry_after=rng.choice((0.5, 1.0, 2.0)))
    injector.network.reset_connections()
    try:
        await trio.sleep(rng.uniform(1.0, 5.0))
    finally:
        faults.limit_rate(None)


def _tokens_revoked(injector: Injector) -> bool:
    """Tokens are revoked, and feeds that were opened with one are closed."""
    if not injector.may_refuse():
        return False
    injector.network.exchange.faults.revoke_tokens(injector.rng.choice((1008, 3000, 4401, 4403)))
    return True


async def _slow_link(injector: Injector) -> None:
    """Every connection is slow for a while."""
    rng = injector.rng
    seconds = rng.uniform(0.5, 4.0)
    injector.reference.disturbed(seconds + 4.0)
    injector.network.throttle(rng.uniform(4_000.0, 20_000.0))
    try:
        await trio.sleep(seconds)
    finally:
        injector.network.throttle(None)


def _proxy_page(injector: Injector) -> None:
    """A proxy's page, or a head of 20 KiB, replaces the answer to a handshake or request."""
    faults, rng = injector.network.exchange.faults, injector.rng
    arm = rng.choice((faults.answer_handshakes, faults.answer_requests))
    arm(rng.choice(("/marketdepth", "/trades", "/klines")), rng.choice((_PAGE, _BIG_HEAD)), rng.randrange(1, 3))
    injector.network.reset_connections()


NETWORK_FAULTS: Final[dict[str, Callable[[Injector], bool | Awaitable[bool | None] | None]]] = {
    "rate limited": _rate_limited,
    "tokens revoked": _tokens_revoked,
    "slow link": _slow_link,
    "proxy page": _proxy_page,
}
