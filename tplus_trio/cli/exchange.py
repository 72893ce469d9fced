"""``tplus-trio exchange``: the embedded exchange, served over TCP."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import trio

from tplus_trio.cli import tape as tapes
from tplus_trio.cli.failure import explaining
from tplus_trio.cli.lines import Lines
from tplus_trio.testing import Exchange, Population, Tape, serve

__all__ = ["DEFAULT_PORTS", "serve_exchange"]

#: The default ports of a MarketDataClient and an OrderBookClient.
DEFAULT_PORTS: Final = (8011, 3032)
_MARKETS: Final = (200, 201, 202)
#: Seconds from the first subscription to the tape's first frame, in which a program can open its other streams.
_LEAD: Final = 1.0
#: Seconds between checks for the first subscription.
_LOOK: Final = 0.05


async def serve_exchange(
    lines: Lines, *, host: str, ports: Sequence[int], tape_file: str | None, speed: float, seed: int
) -> int:
    """Serve an exchange until cancelled.

    Args:
        lines: Where to print.
        host: The address to listen on.
        ports: The ports, each of which serves everything; 0 takes a free one.
        tape_file: The tape to play; None runs simulated traders instead.
        speed: How many times faster than recorded the tape is played, more than 0; inf plays without pauses.
        seed: The seed of the exchange and of its simulated traders.

    Raises:
        Failure: An address is in use or not valid, or the tape cannot be read or played.
    """
    exchange = Exchange(seed=seed)
    tape = None
    if tape_file is not None:
        tape = await tapes.load(tape_file)
        tapes.load_into(exchange, tape)
    async with AsyncExitStack() as stack:
        urls: list[str] = []
        for port in ports:
            with explaining(f"cannot listen on {host}:{port}", OSError):
                urls.append(await stack.enter_async_context(serve(exchange, host, port)))
        for url in urls:
            await lines.put(url)
        if tape is None:
            await _live(exchange, lines, seed)
        else:
            await _play(exchange, lines, tape, speed)
        await trio.sleep_forever()
    return 0


async def _live(exchange: Exchange, lines: Lines, seed: int) -> None:
    population = Population(exchange, _MARKETS, seed=seed)
    names = ", ".join(str(market) for market in _MARKETS)
    await lines.put(f"{len(population.traders)} traders on the markets {names}")
    await population.run()


async def _play(exchange: Exchange, lines: Lines, tape: Tape, speed: float) -> None:
    await lines.put(f"{len(tape.feeds)} feeds, {tape.duration / speed:.1f} s: waiting for the first stream")
    while not exchange.connections:  # noqa: ASYNC110 - the exchange does not tell when someone subscribes
        await trio.sleep(_LOOK)
    await trio.sleep(_LEAD)
    await lines.put("playing")
    await tapes.play_on(exchange, tape, speed)
    await lines.put("the tape has ended; Ctrl-C stops the exchange, which serves the last state until then")
