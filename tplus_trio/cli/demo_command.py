"""The options of ``tplus-trio demo``."""

from __future__ import annotations

from functools import partial

import click

from tplus_trio.cli.options import examples, finite

__all__ = ["demo"]


@click.command("demo", epilog=examples("demo", "demo --seconds 5 --tape FILE"))
@click.option(
    "--seconds",
    type=float,
    callback=finite,
    default=10.0,
    show_default=True,
    help="How long the demo, or the playing of the tape, takes.",
)
@click.option("--tape", metavar="FILE", help="The recording to play: one JSON object a line.")
@click.option("--seed", default=0, show_default=True, help="Seed of the simulated traders' actions.")
def demo(seconds: float, tape: str | None, seed: int) -> int:
    """Start an exchange, trade on it, and watch five feeds at once.

    The exchange is simulated and runs on this machine. A new user signs in, and places and cancels orders. The demo
    prints trades, depth, klines, the user's orders and the user's trades as they arrive, and their counts at the end.

    Without a tape, simulated traders trade. With a tape, the demo plays it in the given seconds and watches all of its
    markets and its trades. At the end it compares what arrived with the file. The exit status is 1 if a frame is
    missing, out of order or repeated, or if a book differs.
    """
    from tplus_trio.cli.demo import demo as program  # noqa: PLC0415 - the help does not need it
    from tplus_trio.cli.run import run  # noqa: PLC0415

    return run(partial(program, seconds=seconds, tape_file=tape, seed=seed))
