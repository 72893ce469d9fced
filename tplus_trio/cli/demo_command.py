"""The options of ``tplus-trio demo``."""

from __future__ import annotations

from functools import partial

import click

from tplus_trio.cli.options import examples, finite

__all__ = ["demo"]


@click.command("demo", epilog=examples("demo", "demo --seconds 20 --plain", "demo --seconds 5 --tape FILE"))
@click.option(
    "--seconds",
    type=float,
    callback=finite,
    default=30.0,
    show_default=True,
    help="How long the demo takes, about: at least 15 s. With a tape: how long it plays.",
)
@click.option("--tape", metavar="FILE", help="The recording to play: one JSON object a line.")
@click.option("--seed", default=0, show_default=True, help="Seed of the simulated traders' actions.")
@click.option("--plain", is_flag=True, help="Print lines, also on a terminal.")
def demo(seconds: float, tape: str | None, seed: int, plain: bool) -> int:
    """See what the library does when the network fails and a bot is killed.

    The exchange is simulated and runs on this machine. A market maker quotes both sides of a live book. One after the
    other, connections are lost, changes of the book are missing, the network is partitioned, and a second bot is
    killed. At the end, what the clients have seen is compared with the exchange's own state and record. The exit
    status is 1 if something was lost or wrong. Without a terminal, the demo prints lines.

    With a tape, the exchange plays it in the given seconds, a user trades beside it, and the demo prints what arrives
    on all feeds. At the end it compares that with the file. The exit status is 1 if a frame is missing, out of order
    or repeated, or if a book differs.
    """
    from tplus_trio.cli.run import run  # noqa: PLC0415 - the help does not need it

    if tape is not None:
        from tplus_trio.cli.tape_demo import play_tape  # noqa: PLC0415 - not for the help

        return run(partial(play_tape, seconds=seconds, tape_file=tape, seed=seed))
    from tplus_trio.cli.story.story import story  # noqa: PLC0415 - not for the help

    return run(partial(story, seconds=seconds, seed=seed, plain=plain))
