"""The commands and their options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import cast

import click

from tplus_trio.cli.demo import demo
from tplus_trio.cli.doctor.command import doctor
from tplus_trio.cli.exchange import DEFAULT_PORTS, serve_exchange
from tplus_trio.cli.export.command import export
from tplus_trio.cli.failure import INTERRUPTED, Failure, complain, explaining
from tplus_trio.cli.feeds import FEEDS, watch
from tplus_trio.cli.record.command import record
from tplus_trio.cli.replay_command import replay
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
        raise click.BadParameter(f"{value:g} is not finite", ctx, param)
    return _positive(ctx, param, value)


def run_command(args: Sequence[str] | None) -> int:
    """Run a command line and return the exit status; see `tplus_trio.cli.main`."""
    try:
        return cast("int", _cli.main(args, prog_name="tplus-trio", standalone_mode=False))
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Failure as exc:
        return complain(exc)


_tape = click.option("--tape", metavar="FILE", help="The recording to play: one JSON object a line.")
_seed = click.option("--seed", default=0, show_default=True, help="Seed of the simulated traders' actions.")


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
    help="How long the demo, or the playing of the tape, takes.",
)
@_tape
@_seed
def _demo(seconds: float, tape: str | None, seed: int) -> int:
    """Start an exchange, trade on it, and watch five feeds at once.

    The exchange is simulated and runs on this machine. A new user signs in, and places and cancels orders. The demo
    prints trades, depth, klines, the user's orders and the user's trades as they arrive, and their counts at the end.

    Without a tape, simulated traders trade. With a tape, the demo plays it in the given seconds and watches all of its
    markets and its trades. At the end it compares what arrived with the file. The exit status is 1 if a frame is
    missing, out of order or repeated, or if a book differs.
    """
    return run(partial(demo, seconds=seconds, tape_file=tape, seed=seed))


@_cli.command("exchange")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Listen on this port only; 0 takes a free one.  [default: 8011 and 3032]",
)
@_tape
@click.option(
    "--speed",
    type=float,
    callback=_positive,
    show_default="1.0",
    help="Multiple of the recorded speed at which the tape is played; inf plays without pauses.",
)
@_seed
def _exchange(host: str, port: int | None, tape: str | None, speed: float | None, seed: int) -> int:
    """Serve a simulated exchange until Ctrl-C.

    Each port serves both market data and orders. The two default ports are the clients' defaults. The first lines
    printed are the URLs. Any user can sign in.

    Without a tape, simulated traders trade on the markets 200, 201 and 202. A tape is played once, and starts one
    second after the first stream has subscribed.
    """
    if tape is None and speed is not None:
        raise click.UsageError("--speed applies to a tape: name one with --tape FILE.")
    ports = DEFAULT_PORTS if port is None else (port,)
    return run(partial(serve_exchange, host=host, ports=ports, tape_file=tape, speed=speed or 1.0, seed=seed))


@_cli.command("stream")
@click.argument("feed", type=click.Choice(list(FEEDS)), metavar="FEED")
@click.argument("asset", callback=_asset, required=False)
@click.option("--url", help="URL of the service.  [default: http://localhost:8011; for a user's feeds, :3032]")
@click.option("--user", metavar="NAME", help="Sign in as this stored user.")
@click.option("--json", is_flag=True, help="Print one JSON object a line.")
def _stream(feed: str, asset: AssetIdentifier | None, url: str | None, user: str | None, json: bool) -> int:
    """Print one feed until Ctrl-C, one event a line.

    FEED is one of trades, tickers (of all markets), depth, klines, ticker (of one ASSET), orders, user-trades (of one
    stored user, with --user).

    If the first connection fails, the command fails. A connection that is lost later is made again; standard error
    says so.
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
    """Load and unlock a stored user; the password prompt comes before anything else starts."""
    with explaining("--user", ValueError, OSError):
        user = load_user(name)
        user.unlock()
    return user


for _command in (record, replay, export, doctor):
    _cli.add_command(_command)
