"""Makes the checks in order, and prints a line for each as soon as it is made."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import trio

from tplus_trio.cli.doctor.finding import Finding, Verdict, bounded
from tplus_trio.cli.doctor.network_checks import Address, check_addresses, check_name, check_tls
from tplus_trio.cli.doctor.service_checks import ServiceChecks
from tplus_trio.cli.failure import explaining
from tplus_trio.cli.feeds import FEEDS
from tplus_trio.cli.lines import Lines
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.clients.order_book import OrderBookClient
from tplus_trio.models import AssetIdentifier
from tplus_trio.transport.connector import Endpoint
from tplus_trio.users import User

__all__ = ["doctor"]

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
#: Seconds of a check beyond the client's own timeout, which has the better message. REST makes two requests.
_GRACE: Final = 1.0


async def doctor(
    lines: Lines,
    *,
    url: str,
    user: User | None,
    asset: AssetIdentifier | None,
    timeout: float,
    context: ssl.SSLContext | None = None,
) -> int:
    """Check a service, and print a line for each check.

    Args:
        lines: Where to print.
        url: The service's URL.
        user: The user to sign in as; None skips what needs one.
        asset: The market of the feeds; None takes the first one that the service lists.
        timeout: The seconds that each check may take, more than 0.
        context: The TLS settings; None are those of a client.

    Returns:
        0 if nothing is wrong, else 1.

    Raises:
        Failure: The URL is not legal.
    """
    with explaining("URL", ValueError):
        endpoint = Endpoint.from_url(url)
    examination = _Examination(lines)
    if not await _check_network(examination, endpoint, timeout, context):
        await examination.skip(["REST", "clock", "handshake", "sign-in", *(f"feed {name}" for name in FEEDS)])
        return 1
    options: dict[str, Any] = {"timeout": timeout, **({} if context is None else {"verify": context})}
    async with MarketDataClient(url, **options) as md, OrderBookClient(url, default_user=user, **options) as oms:
        await _check_service(examination, ServiceChecks(md, oms, user, asset, timeout), timeout)
    return examination.status


class _Examination:
    """Prints findings, and remembers whether one is wrong."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.status: int = 0

    async def note(self, finding: Finding) -> bool:
        """Print a finding; return whether it is right."""
        await self._lines.put(finding.line())
        if finding.verdict is Verdict.WRONG:
            self.status = 1
        return finding.verdict is not Verdict.WRONG

    async def make(self, name: str, seconds: float, check: Callable[[], Awaitable[Finding]]) -> bool:
        """Make a check and print what it found; return whether that is right."""
        return await self.note(await bounded(name, seconds, check))

    async def skip(self, names: Sequence[str]) -> None:
        """Print that checks were not made because of what came before."""
        for name in names:
            await self.note(Finding(Verdict.SKIP, name, "not possible before the above is right"))


async def _check_network(
    examination: _Examination, endpoint: Endpoint, timeout: float, context: ssl.SSLContext | None
) -> bool:
    """Check name, addresses and TLS; return whether the service can be reached."""
    addresses: list[Address] = []
    reached: list[Address] = []

    async def name() -> Finding:
        finding, found = await check_name(endpoint)
        addresses.extend(found)
        return finding

    async def connect() -> Finding:
        finding, first = await check_addresses(addresses, timeout)
        reached.extend([] if first is None else [first])
        return finding

    if not await examination.make("name", timeout, name):
        await examination.skip(["addresses", "TLS"])
        return False
    if not await examination.make("addresses", timeout + _GRACE, connect):
        await examination.skip(["TLS"])
        return False
    if endpoint.secure:
        tls = context or ssl.create_default_context()
        return await examination.make("TLS", timeout, partial(check_tls, endpoint, reached[0], tls))
    is_local = endpoint.host in _LOCAL or endpoint.host.endswith(".localhost")
    verdict = Verdict.SKIP if is_local else Verdict.NOTE
    advice = "" if is_local else "use https over a network that others can read"
    await examination.note(Finding(verdict, "TLS", "an http:// URL has none", advice))
    return True


async def _check_service(examination: _Examination, checks: ServiceChecks, timeout: float) -> None:
    """Check the service itself."""
    if not await examination.make("REST", 2 * timeout + _GRACE, checks.check_rest):
        await examination.skip(["clock"] if not checks.has_market_data and not checks.has_orders else [])
    else:
        await examination.make("clock", timeout, checks.check_clock)
    if not (checks.has_market_data or checks.has_orders):
        await examination.skip(["handshake", "sign-in", *(f"feed {name}" for name in FEEDS)])
        return
    await examination.make("handshake", timeout + _GRACE, checks.check_handshake)
    # A sign-in makes three requests.
    await examination.make("sign-in", 3 * timeout + _GRACE, checks.check_sign_in)
    for finding in await checks.check_feeds():
        await examination.note(finding)
    await trio.lowlevel.checkpoint()
