"""The options of ``tplus-trio exchange``."""

from __future__ import annotations

from functools import partial

import click

from tplus_trio.cli.options import examples, positive

__all__ = ["exchange"]


@click.command("exchange", epilog=examples("exchange", "exchange --port 0 --tape FILE --speed 2"))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Listen on this port only; 0 takes a free one.  [default: 8011 and 3032]",
)
@click.option("--tape", metavar="FILE", help="The recording to play: one JSON object a line.")
@click.option(
    "--speed",
    type=float,
    callback=positive,
    show_default="1.0",
    help="Multiple of the recorded speed at which the tape is played; inf plays without pauses.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the simulated traders' actions.")
def exchange(host: str, port: int | None, tape: str | None, speed: float | None, seed: int) -> int:
    """Serve a simulated exchange until Ctrl-C.

    Each port serves both market data and orders. The two default ports are the clients' defaults. The first lines
    printed are the URLs. Any user can sign in.

    Without a tape, simulated traders trade on the markets 200, 201 and 202. A tape is played once, and starts one
    second after the first stream has subscribed.
    """
    from tplus_trio.cli import exchange as program  # noqa: PLC0415 - the help does not need it
    from tplus_trio.cli.run import run  # noqa: PLC0415 - not for the help

    if tape is None and speed is not None:
        raise click.UsageError("--speed applies to a tape: name one with --tape FILE.")
    ports = program.DEFAULT_PORTS if port is None else (port,)
    serve = partial(program.serve_exchange, host=host, ports=ports, tape_file=tape, speed=speed or 1.0, seed=seed)
    return run(serve)
