"""The checks of the service itself: REST, its clock, the handshake, the sign-in, the feeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import trio

from tplus_trio.cli.doctor.finding import Finding, Verdict, bounded
from tplus_trio.cli.feeds import FEEDS
from tplus_trio.clients.base import Client
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.clients.order_book import OrderBookClient
from tplus_trio.errors import HandshakeRejected, NotFoundError
from tplus_trio.models import AssetIdentifier
from tplus_trio.users import User

__all__ = ["ServiceChecks"]

_SECOND: Final = 1e9
#: Seconds by which the clocks may differ: less than orders live and tokens are renewed before they expire.
_MOST_SKEW: Final = 2.0
#: Seconds in which a feed's first message is awaited; a market may be quiet.
_FIRST: Final = 2.0
#: Seconds of a check beyond the client's own timeout, which has the better message.
_GRACE: Final = 1.0


@attrs.define(eq=False)
class ServiceChecks:
    """Checks of one URL, which may be that of the market data service, of the order service, or of both.

    Attributes:
        md: The client of market data.
        oms: The client of orders.
        user: The user to sign in as; None skips what needs one.
        asset: The market of the feeds; None takes the first one that the service lists.
        timeout: The seconds that each check may take.
        has_market_data: Whether the service answers requests for market data; known after `check_rest`.
        has_orders: The same for orders.
    """

    md: MarketDataClient
    oms: OrderBookClient
    user: User | None
    asset: AssetIdentifier | None
    timeout: float
    has_market_data: bool = False
    has_orders: bool = False

    async def check_rest(self) -> Finding:
        """Ask for tickers and markets: one of them is answered by each service."""
        began = trio.current_time()
        refused: NotFoundError | None = None
        try:
            tickers = await self.md.get_tickers()
            self.has_market_data = True
            self.asset = self.asset or next((ticker.asset_id for ticker in tickers), None)
        except NotFoundError as exc:
            refused = exc
        try:
            page = await self.oms.get_markets(limit=1)
            self.has_orders = True
            self.asset = self.asset or next((market.asset_id for market in page.markets), None)
        except NotFoundError as exc:
            if refused is not None:
                raise
            refused = exc
        served = " and ".join(
            name for name, has in (("market data", self.has_market_data), ("orders", self.has_orders)) if has
        )
        took = (trio.current_time() - began) * 1000
        text = f"{served} ({took:.0f} ms)"
        if refused is None:
            return Finding(Verdict.OK, "REST", text)
        other = "orders" if self.has_market_data else "market data"
        return Finding(Verdict.OK, "REST", f"{text}; {other} are at another URL")

    async def check_clock(self) -> Finding:
        """Compare the service's clock with this machine's, by the dates of its answers."""
        clients: tuple[Client, ...] = (self.md, self.oms)
        known = [clock for client in clients if (clock := client.statistics().clock) is not None]
        if not known:
            return Finding(Verdict.SKIP, "clock", "no answer had a date")
        best = min(known, key=lambda clock: clock.bound_ns)
        await trio.lowlevel.checkpoint()
        offset, bound = best.offset_ns / _SECOND, best.bound_ns / _SECOND
        text = f"the service is {abs(offset):.1f} s {'ahead' if offset > 0 else 'behind'}, ± {bound:.1f} s"
        if abs(offset) - bound > _MOST_SKEW:
            return Finding(Verdict.WRONG, "clock", text, "set the clock of this machine, with NTP")
        return Finding(Verdict.OK, "clock", text)

    async def check_handshake(self) -> Finding:
        """Open a WebSocket: the feed of public trades, or else the user's orders."""
        if self.has_market_data:
            stream = self.md.stream_finalized_trades(restart=None)
        elif self.user is not None:
            return Finding(Verdict.SKIP, "handshake", "only the user's feeds are here: see below")
        else:
            return Finding(Verdict.SKIP, "handshake", "the feeds of orders need a user", "name one with --user")
        began = trio.current_time()
        async with stream:
            await stream.wait_live()
        return Finding(Verdict.OK, "handshake", f"{(trio.current_time() - began) * 1000:.0f} ms")

    async def check_sign_in(self) -> Finding:
        """Sign in, and ask for something that needs it."""
        if self.user is None:
            return Finding(Verdict.SKIP, "sign-in", "no user", "name a stored one with --user")
        began = trio.current_time()
        try:
            if self.has_orders:
                await self.oms.get_user_positions(user=self.user)
            else:
                await self.md.get_user_trades(user=self.user)
        except NotFoundError:
            pass  # the service has not seen this user trade yet
        return Finding(Verdict.OK, "sign-in", f"{(trio.current_time() - began) * 1000:.0f} ms")

    async def check_feeds(self) -> Sequence[Finding]:
        """Open each feed, all at once."""
        findings: dict[str, Finding] = {}

        async def check(name: str) -> None:
            findings[name] = await bounded(
                f"feed {name}", self.timeout + _FIRST + _GRACE, lambda: self._check_feed(name)
            )

        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            for name in FEEDS:
                nursery.start_soon(check, name)
        return [findings[name] for name in FEEDS]

    async def _check_feed(self, feed: str) -> Finding:
        name, known = f"feed {feed}", FEEDS[feed]
        market: tuple[AssetIdentifier, ...] = ()
        if not (self.has_orders if known.of_user else self.has_market_data):
            return Finding(Verdict.SKIP, name, "at another URL")
        if known.of_user and self.user is None:
            return Finding(Verdict.SKIP, name, "no user")
        if known.of_market:
            if self.asset is None:
                return Finding(Verdict.SKIP, name, "no market is listed", "name one with --asset")
            market = (self.asset,)
        client: Client = self.oms if known.of_user else self.md
        began = trio.current_time()
        async with known.open(client, *market, restart=None) as stream:
            try:
                await stream.wait_live()
            except HandshakeRejected as exc:
                if exc.status == 403 and known.of_user:
                    return Finding(Verdict.NOTE, name, "not for this user")
                raise
            took = (trio.current_time() - began) * 1000
            with trio.move_on_after(min(self.timeout, _FIRST)) as scope:
                await stream.receive()
            first = "quiet so far" if scope.cancelled_caught else "messages come"
        return Finding(Verdict.OK, name, f"live after {took:.0f} ms, {first}")
