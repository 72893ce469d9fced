"""``tplus-trio stream``: one feed, one item a line."""

from __future__ import annotations

import math

import trio

from tplus_trio.cli.feeds import FEEDS
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.services import Services
from tplus_trio.cli.show import as_json, as_text
from tplus_trio.models import AssetIdentifier
from tplus_trio.users import User

__all__ = ["watch"]


async def watch(
    lines: Lines,
    name: str,
    asset: AssetIdentifier | None,
    *,
    services: Services,
    user: User | None,
    json: bool,
    count: int | None = None,
    seconds: float | None = None,
) -> int:
    """Print a feed until cancelled, or until there were enough items, or until the time is over.

    The first connection must succeed. A connection that is lost later is made again, without a limit.

    Args:
        lines: Where to print.
        name: The feed's name in `FEEDS`.
        asset: The market, for the feed of one market; else None.
        services: Where the feed is.
        user: The user to sign in as, for a feed of one user.
        json: Whether to print JSON.
        count: How many items to print, at least 1; None is no limit.
        seconds: How long to print, from the moment when the stream is live; None is no limit.

    Raises:
        TplusError: The first connection failed, or the stream ended with an error.
    """
    feed = FEEDS[name]
    async with feed.client(services, user) as client:
        async with feed.open(client, asset, restart=None) as first:
            await first.wait_live()
        async with feed.open(client, asset) as stream:
            await stream.wait_live()
            left = math.inf if count is None else count
            with trio.move_on_after(math.inf if seconds is None else seconds):
                async for event in stream:
                    await lines.put(as_json(event) if json else as_text(name, asset or "", event))
                    left -= 1
                    if not left:
                        break
    return 0
