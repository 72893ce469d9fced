"""The recording of feeds on a tape, from the first connection to the last byte on the disk."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from tplus_trio.cli.failure import explaining
from tplus_trio.cli.feeds import FEEDS
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.record.recorder import Recorder, RecordingClient
from tplus_trio.cli.record.writer import Rotation, TapeWriter
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.escapes import escape
from tplus_trio.models import AssetIdentifier
from tplus_trio.streams.stream import Stream

__all__ = ["FeedName", "follow_feeds", "record"]

#: Seconds between two writes: a killed process loses what came after the last one, which takes less than the rest of a
#: second.
_SYNC: Final = 0.5
#: Seconds in which the last lines are written after Ctrl-C.
_LAST_WRITE: Final = 5.0
#: Seconds between two lines about the progress: on a terminal, and elsewhere.
_PROGRESS, _RARE_PROGRESS = 1.0, 60.0


@attrs.frozen
class FeedName:
    """A feed as the command line names it: ``depth:200`` or ``trades``."""

    name: str
    asset: AssetIdentifier | None = None

    @classmethod
    def parse(cls, text: str) -> FeedName:
        """Read the name of a public feed.

        Raises:
            ValueError: There is no such feed, or it lacks its market, or needs none.
        """
        name, colon, asset = text.partition(":")
        legal = ", ".join(f"{known}:ASSET" if feed.of_market else known for known, feed in _public_feeds().items())
        if name not in _public_feeds():
            raise ValueError(f"{text!r} is no public feed; legal are {legal}")
        if _public_feeds()[name].of_market != bool(colon):
            raise ValueError(f"{text!r} names {'no' if not colon else 'a'} market; legal are {legal}")
        return cls(name, AssetIdentifier(asset) if colon else None)

    def open(self, client: MarketDataClient, **options: Any) -> Stream[Any]:
        """Return a stream of the feed, not entered."""
        market = () if self.asset is None else (self.asset,)
        return FEEDS[self.name].open(client, *market, **options)


def _public_feeds() -> dict[str, Any]:
    return {name: feed for name, feed in FEEDS.items() if not feed.of_user}


async def record(
    _: Lines, *, file: str, feeds: Sequence[FeedName], url: str, seconds: float | None, rotation: Rotation | None
) -> int:
    """Record feeds until the time is over or until cancelled, and print the progress to standard error.

    Args:
        file: The file to write; its ending says how it is compressed.
        feeds: The feeds, each once.
        url: The service's URL.
        seconds: How long to record; None means until cancelled.
        rotation: When another file is begun; None means never.

    Raises:
        Failure: The URL is not valid, or the tape cannot be written.
        TplusError: A first connection failed, or a feed ended with an error.
    """
    with explaining("--url", ValueError):
        probe = MarketDataClient(url)
    async with probe, trio.open_nursery(strict_exception_groups=True) as nursery:
        for feed in feeds:
            nursery.start_soon(_try, feed, probe)
    recorder = Recorder(time.time_ns)
    client = RecordingClient(recorder, url)
    writer = await trio.to_thread.run_sync(TapeWriter, Path(file), rotation, time.monotonic)
    began, depth = trio.current_time(), list[Stream[Any]]()

    def resync() -> None:
        """Let a new file begin with the snapshots of all books: without them it could not be played by itself."""
        with recorder.ordered():
            for stream in depth:
                stream.resync()

    def summary() -> str:
        counts = recorder.counts
        return (
            f"{trio.current_time() - began:.0f} s  {counts.frames:,} frames  {counts.answers:,} answers  "
            f"{counts.losses:,} losses  {_size(writer.written)}"
        )

    try:
        async with _writing(recorder, writer, resync), trio.open_nursery(strict_exception_groups=True) as nursery:
            nursery.start_soon(_show_progress, summary)
            with trio.move_on_after(math.inf if seconds is None else seconds):
                await follow_feeds(recorder, client, feeds, depth)
            nursery.cancel_scope.cancel()
    finally:
        _say(f"{writer.path}: {summary()}", end="\n")
    return 0


async def _try(feed: FeedName, client: MarketDataClient) -> None:
    """Connect once, so that a wrong URL or market ends the command with its first failure."""
    async with feed.open(client, restart=None) as stream:
        await stream.wait_live()


async def follow_feeds(
    recorder: Recorder, client: RecordingClient, feeds: Sequence[FeedName], depth: list[Stream[Any]]
) -> None:
    """Let a recorder take down feeds until cancelled. Lost connections are made again, without a limit.

    Args:
        recorder: Takes down what the client receives.
        client: The client, not entered.
        feeds: The feeds.
        depth: The open streams of books are added here.

    Raises:
        TplusError: A feed ended with an error.
    """

    async def follow(feed: FeedName) -> None:
        async with feed.open(client) as stream:
            if feed.name == "depth":
                depth.append(stream)
            async for _ in stream:
                await recorder.wait_room()

    async with client, trio.open_nursery(strict_exception_groups=True) as nursery:
        for feed in feeds:
            nursery.start_soon(follow, feed)


@asynccontextmanager
async def _writing(recorder: Recorder, writer: TapeWriter, on_rotate: Callable[[], None]) -> AsyncGenerator[None]:
    """Write what a recorder takes down, about twice a second and at the end."""
    try:
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            nursery.start_soon(_write_out, recorder, writer, on_rotate)
            yield
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WRITE):
            await trio.to_thread.run_sync(_end, writer, recorder.take(), abandon_on_cancel=True)


async def _write_out(recorder: Recorder, writer: TapeWriter, on_rotate: Callable[[], None]) -> None:
    while True:
        await trio.sleep(_SYNC)
        # Cancelling it waits for the thread, which would otherwise write beside the last write.
        await trio.to_thread.run_sync(writer.write, recorder.take())
        if writer.is_full:
            await trio.to_thread.run_sync(writer.rotate)
            on_rotate()


def _end(writer: TapeWriter, lines: bytes) -> None:
    try:
        writer.write(lines)
    finally:
        writer.close()


async def _show_progress(summary: Callable[[], str]) -> None:
    """Show the progress on a terminal in one line that is written over; elsewhere print a line a minute."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    while True:
        await trio.sleep(_PROGRESS if is_terminal else _RARE_PROGRESS)
        # A stopped terminal must not stop the recording.
        await trio.to_thread.run_sync(
            _say, f"recording  {summary()}", "\r" if is_terminal else "\n", abandon_on_cancel=True
        )


def _say(text: str, end: str) -> None:
    """Write a line to standard error; the end of an older, longer one is wiped from a terminal."""
    if sys.stderr is not None:
        wipe = "\x1b[K" if sys.stderr.isatty() else ""
        with suppress(OSError):
            sys.stderr.write(f"{escape(text)}{wipe}{end}")
            sys.stderr.flush()


def _size(size: int) -> str:
    """Format a number of bytes."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000  # type: ignore[assignment]  # from here on it is a float
    return f"{size:.1f} GB"
