"""``tplus-trio record``: its arguments and options."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from tplus_trio.cli.options import duration, examples
from tplus_trio.cli.services import DEFAULT_URL
from tplus_trio.cli.settings import setting, value_of

if TYPE_CHECKING:
    from tplus_trio.cli.record.program import FeedName
    from tplus_trio.cli.record.writer import Rotation

__all__ = ["record"]


def _feeds(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[FeedName, ...]:
    """Check the feeds; one that is named twice is recorded once (a callback of click)."""
    from tplus_trio.cli.record.program import FeedName  # noqa: PLC0415 - the help does not need it

    try:
        return tuple(dict.fromkeys(FeedName.parse(text) for text in value))
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None


def _rotation(ctx: click.Context, param: click.Parameter, value: str | None) -> Rotation | None:
    """Check when another file is begun (a callback of click)."""
    from tplus_trio.cli.record.writer import parse_rotation  # noqa: PLC0415 - the help does not need it

    try:
        return None if value is None else parse_rotation(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None


@click.command(
    "record",
    epilog=examples(
        "record tape.jsonl.gz depth:200 trades klines:200 --for 5s",
        "record day.jsonl.xz depth:200 depth:201 trades --url http://localhost:8011 --rotate 1h",
    ),
)
@click.argument("file", type=click.Path(dir_okay=False))
@click.argument("feeds", nargs=-1, required=True, callback=_feeds, metavar="FEED...")
@setting("url")
@click.option("--for", "seconds", metavar="TIME", callback=duration, help="Stop after this time: 500ms, 30s, 5m, 1h.")
@click.option(
    "--rotate",
    "rotation",
    metavar="SIZE|TIME",
    callback=_rotation,
    help="Begin another file at this size (100MB, 64MiB) or age (30m, 1h, 1d). The files are numbered from 00001 on.",
)
def record(file: str, feeds: tuple[FeedName, ...], seconds: float | None, rotation: Rotation | None) -> int:
    """Record public feeds on a tape, until Ctrl-C or --for.

    A tape has one JSON object a line: each frame and each answer exactly as it was received, with its time, and each
    loss. FILE is compressed if it ends in .gz, .xz or .zst; it must not exist. `tplus-trio replay` plays it, and
    `tplus-trio export` makes a table of it.

    \b
    FEED is one of:
      depth:ASSET   the book: its changes, and a snapshot at the beginning and after each loss
      klines:ASSET  the candles
      ticker:ASSET  the 24-hour summary
      tickers       the 24-hour summaries of all markets
      trades        the confirmed trades of all markets

    If the first connection fails, the command fails. A connection that is lost later is made again, and the tape has an
    entry for the loss. What was received is on the disk within a second; a killed process loses no more than that.

    Standard error shows the progress. The exit status is 0 after --for, 130 after Ctrl-C or SIGTERM (the tape is
    complete), 1 if a feed or the disk failed, 2 for a usage error.
    """  # noqa: D301 - \b tells click to keep the lines
    from tplus_trio.cli.record import program  # noqa: PLC0415 - not for the help
    from tplus_trio.cli.run import run  # noqa: PLC0415 - the help does not need it

    url: str = value_of("url") or DEFAULT_URL
    return run(partial(program.record, file=file, feeds=feeds, url=url, seconds=seconds, rotation=rotation))
