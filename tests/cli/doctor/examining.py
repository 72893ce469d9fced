"""Runs ``doctor`` against a peer, and reads what it prints."""

from __future__ import annotations

import re
import ssl

import trio

from tplus_trio import AssetIdentifier, User
from tplus_trio.cli.doctor.program import doctor
from tplus_trio.cli.feeds import FEEDS
from tplus_trio.cli.lines import Lines
from tplus_trio.testing import Exchange

__all__ = ["NAMES", "OF_A_USER", "PUBLIC", "Result", "examine", "market"]

NAMES = ["name", "addresses", "TLS", "REST", "clock", "handshake", "sign-in"]
#: The checks of feeds.
PUBLIC = [f"feed {name}" for name, feed in FEEDS.items() if not feed.of_user]
OF_A_USER = [f"feed {name}" for name, feed in FEEDS.items() if feed.of_user]
TIMEOUT = 0.4


class Printed(Lines):
    """Keeps the lines instead of writing them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    async def put(self, line: str) -> None:
        await trio.lowlevel.checkpoint()
        self.lines.append(line)


class Result:
    """The exit status, and the verdict and the text of each check."""

    def __init__(self, status: int, lines: list[str]) -> None:
        self.status = status
        self.texts: dict[str, tuple[str, str]] = {}
        for line in lines:
            verdict, name, text = re.split(r" {2,}", line, maxsplit=2)
            self.texts[name] = (verdict, text)
        assert len(self.texts) == len(lines)

    @property
    def wrong(self) -> list[str]:
        return [name for name, (verdict, _) in self.texts.items() if verdict == "WRONG"]

    def verdict(self, name: str) -> str:
        return self.texts[name][0]

    def text(self, name: str) -> str:
        return self.texts[name][1]


async def examine(
    url: str,
    *,
    user: User | None = None,
    asset: int | None = None,
    timeout: float = TIMEOUT,
    context: ssl.SSLContext | None = None,
) -> Result:
    printed = Printed()
    began = trio.current_time()
    market = None if asset is None else AssetIdentifier(asset)
    status = await doctor(printed, url=url, user=user, asset=market, timeout=timeout, context=context)
    # Each check is bounded, however the peer behaves.
    assert trio.current_time() - began < 12 * timeout + 8
    return Result(status, printed.lines)


def market() -> Exchange:
    exchange = Exchange()
    exchange.add_market(200)
    exchange.publish_diff(200, bids=[(1, 1)])
    return exchange
