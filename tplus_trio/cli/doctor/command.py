"""``tplus-trio doctor``: its argument and options."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from tplus_trio.cli.options import asset as market
from tplus_trio.cli.options import duration, examples
from tplus_trio.cli.services import load_signer
from tplus_trio.cli.settings import setting, value_of

if TYPE_CHECKING:
    from tplus_trio.models import AssetIdentifier

__all__ = ["doctor"]


@click.command("doctor", epilog=examples("doctor http://localhost:8011", "doctor https://example.com --user alice"))
@click.argument("url")
@setting("user")
@click.option("--asset", callback=market, help="The market of the feeds.  [default: the first that the service lists]")
@click.option(
    "--timeout",
    metavar="TIME",
    callback=duration,
    default="5s",
    show_default=True,
    help="How long one request or connection may take.",
)
def doctor(url: str, asset: AssetIdentifier | None, timeout: float) -> int:
    """Find out why a service cannot be used: what is wrong, and what to do.

    It checks, one line each: the name, its addresses, TLS, REST, the clock, the WebSocket handshake, the sign-in, and
    each feed. A line begins with ok, note (unusual, but not wrong), skip (not checked), or WRONG. No order is placed,
    and nothing is changed.

    The exit status is 0 if nothing is wrong, also if checks were skipped, for want of a user for example. It is 1 if
    something is wrong, 2 for a usage error, 130 after Ctrl-C or SIGTERM.
    """
    from tplus_trio.cli.doctor import program  # noqa: PLC0415 - not for the help
    from tplus_trio.cli.run import run  # noqa: PLC0415 - the help does not need it

    signer = None if value_of("user") is None else load_signer()
    return run(partial(program.doctor, url=url, user=signer, asset=asset, timeout=timeout))
