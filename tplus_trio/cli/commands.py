"""The commands and their options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import cast

import click

from tplus_trio.cli.demo import demo
from tplus_trio.cli.exchange import DEFAULT_PORTS, serve_exchange
from tplus_trio.cli.failure import INTERRUPTED, Failure, complain, explaining
from tplus_trio.cli.feeds import FEEDS, watch
from tplus_trio.cli.run import run
from tplus_trio.models import AssetIdentifier
from tplus_trio.users import User, load_user

__all__ = ["run_command"]


def _asset(ctx: click.Context, param: click.Parameter, value: str | None) -> AssetIdentifier | None:
    try:
        return None if value is None else AssetIdentifier(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None


def _positive(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not value > 0:  # NaN is refused too
        raise click.BadParameter(f"{value:g} is not more than 0", ctx, param)
    return value


def _finite(ctx: click.Context, param: click.Parameter, value: float) -> float | None:
    if math.isinf(value):
        raise click.BadParameter("there is no end to it", ctx, param)
    return _positive(ctx, param, value)


def run_command(args: Sequence[str] | None) -> int:
    """Run a command line; the exit status."""
    try:
        return cast("int", _cli.main(args, prog_name="tplus-trio", standalone_mode=False))
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Failure as exc:
        return complain(exc)


_tape = click.option("--tape", metavar="FILE", help="A recording to play: one JSON object a line.")
_seed = click.option("--seed", default=0, show_default=True, help="What the simulated traders do.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def _cli() -> None:
    """The T+ exchange on the command line.

    Ctrl-C ends every command.
    """


@_cli.command("demo")
@click.option(
    "--seconds",
    type=float,
    callback=_finite,
    default=10.0,
    show_default=True,
    help="How long to watch, or to play the tape.",
)
@_tape
@_seed
def _demo(seconds: float, tape: str | None, seed: int) -> int:
    """Start an exchange, trade on it, and watch five feeds at once.

    The exchange is a simulated one on this machine. A new user signs in, places and cancels orders; trades, depth,
    klines, the user's orders and the user's trades are printed as they come, and counted at the end.

    Without a tape, simulated traders give it life. With one, all of its markets and its trades are watched while it is
    played in so many seconds; at the end, what arrived is compared with the file, and the exit status is 1 if a frame
    is missing, out of order or there twice, or a book differs.
    """
    return run(partial(demo, seconds=seconds, tape_file=tape, seed=seed))


@_cli.command("exchange")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The only port; 0 takes a free one.  [default: 8011 and 3032]",
)
@_tape
@click.option(
    "--speed",
    type=float,
    callback=_positive,
    show_default="1.0",
    help="How many times as fast as recorded the tape is played; inf: as fast as it can be read.",
)
@_seed
def _exchange(host: str, port: int | None, tape: str | None, speed: float | None, seed: int) -> int:
    """Serve a simulated exchange until Ctrl-C.

    Market data and orders are served together, on the two ports where clients look for them by default, or on one
    that is named. The first lines printed are the URLs. Any user can sign in.

    Without a tape, simulated traders trade on the markets 200, 201 and 202. A tape is played once, from one second
    after the first stream has subscribed.
    """
    if tape is None and speed is not None:
        raise click.UsageError("--speed is that of a tape: name one with --tape FILE.")
    ports = DEFAULT_PORTS if port is None else (port,)
    return run(partial(serve_exchange, host=host, ports=ports, tape_file=tape, speed=speed or 1.0, seed=seed))


@_cli.command("stream")
@click.argument("feed", type=click.Choice(list(FEEDS)), metavar="FEED")
@click.argument("asset", callback=_asset, required=False)
@click.option("--url", help="The service.  [default: http://localhost:8011; of a user's feeds, :3032]")
@click.option("--user", metavar="NAME", help="Sign in as this stored user.")
@click.option("--json", is_flag=True, help="Print one JSON object a line.")
def _stream(feed: str, asset: AssetIdentifier | None, url: str | None, user: str | None, json: bool) -> int:
    """Print one feed until Ctrl-C, one event a line.

    FEED is one of trades, tickers (of all markets), depth, klines, ticker (of one ASSET), orders, user-trades (of one
    stored user, with --user).

    The first connection has to succeed; a later one that is lost is made again, which is told on standard error.
    """
    if FEEDS[feed].of_market and asset is None:
        raise click.UsageError(f"{feed} is the feed of one market: name its ASSET, like `stream {feed} 200`.")
    if not FEEDS[feed].of_market and asset is not None:
        raise click.UsageError(f"{feed} takes no ASSET.")
    if FEEDS[feed].of_user and user is None:
        raise click.UsageError(f"{feed} is the feed of one user: name the stored user with --user NAME.")
    signer = None if user is None else _load(user)
    return run(partial(watch, name=feed, asset=asset, url=url, user=signer, json=json))


def _load(name: str) -> User:
    """A stored user, ready to sign: asking for a password is done before anything else goes on."""
    with explaining("--user", ValueError, OSError):
        user = load_user(name)
        user.unlock()
    return user
