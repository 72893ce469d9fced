"""``tplus-trio replay``: its argument and options."""

from __future__ import annotations

from functools import partial

import click

from tplus_trio.cli.options import examples, positive

__all__ = ["replay"]


@click.command("replay", epilog=examples("replay tape.jsonl.gz", "replay tape.jsonl.gz --speed 10 --port 9000"))
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--speed",
    type=float,
    callback=positive,
    default=1.0,
    show_default=True,
    help="Multiple of the recorded speed; inf plays without pauses.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Listen on this port only; 0 takes a free one.  [default: 8011 and 3032]",
)
def replay(file: str, speed: float, host: str, port: int | None) -> int:
    """Serve a tape as an exchange, until Ctrl-C.

    The first lines printed are the URLs. The tape is played once, and starts one second after the first stream has
    subscribed. Then the exchange serves the last state. FILE is decompressed if it ends in .gz, .xz or .zst. A tape
    whose recorder was killed is played up to where it breaks off, with a warning.

    Where the recorder lost a connection, the clients of the replay lose theirs. The tape waits until they are back, at
    most 30 seconds, so that they miss nothing that is on it. What the recorder could not recover, they cannot either.

    The exit status is 130 after Ctrl-C or SIGTERM, 1 if the tape cannot be read or played, or if the port is in use, 2
    for a usage error.
    """
    from tplus_trio.cli.exchange import DEFAULT_PORTS, serve_exchange  # noqa: PLC0415 - not for the help
    from tplus_trio.cli.run import run  # noqa: PLC0415 - the help does not need it

    ports = DEFAULT_PORTS if port is None else (port,)
    return run(partial(serve_exchange, host=host, ports=ports, tape_file=file, speed=speed, seed=0))
