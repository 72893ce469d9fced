"""``tplus-trio doctor``: its argument and options."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from tplus_trio.cli.failure import explaining
from tplus_trio.cli.options import duration, examples

if TYPE_CHECKING:
    from tplus_trio.models import AssetIdentifier
    from tplus_trio.users import User

__all__ = ["doctor"]


def _asset(ctx: click.Context, param: click.Parameter, value: str | None) -> AssetIdentifier | None:
    from tplus_trio.models import AssetIdentifier  # noqa: PLC0415 - the help does not need it

    try:
        return None if value is None else AssetIdentifier(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None


@click.command("doctor", epilog=examples("doctor http://localhost:8011", "doctor https://example.com --user alice"))
@click.argument("url")
@click.option("--user", metavar="NAME", envvar="TPLUS_USER", show_envvar=True, help="Sign in as this stored user.")
@click.option("--asset", callback=_asset, help="The market of the feeds.  [default: the first that the service lists]")
@click.option(
    "--timeout",
    metavar="TIME",
    callback=duration,
    default="5s",
    show_default=True,
    help="How long one request or connection may take.",
)
def doctor(url: str, user: str | None, asset: AssetIdentifier | None, timeout: float) -> int:
    """Find out why a service cannot be used: what is wrong, and what to do.

    It checks, one line each: the name, its addresses, TLS, REST, the clock, the WebSocket handshake, the sign-in, and
    each feed. A line begins with ok, note (unusual, but not wrong), skip (not checked), or WRONG. No order is placed,
    and nothing is changed.

    The exit status is 0 if nothing is wrong, also if checks were skipped, for want of a user for example. It is 1 if
    something is wrong, 2 for a usage error, 130 after Ctrl-C or SIGTERM.
    """
    from tplus_trio.cli.doctor import program  # noqa: PLC0415
    from tplus_trio.cli.run import run  # noqa: PLC0415 - the help does not need it

    signer = None if user is None else _load(user)
    return run(partial(program.doctor, url=url, user=signer, asset=asset, timeout=timeout))


def _load(name: str) -> User:
    """Load and unlock a stored user; the password prompt comes before anything else starts."""
    from tplus_trio.users import load_user  # noqa: PLC0415 - the help does not need it

    with explaining("--user", ValueError, OSError):
        user = load_user(name)
        user.unlock()
    return user
