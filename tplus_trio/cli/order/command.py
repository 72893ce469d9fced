"""The options of ``tplus-trio order``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tplus_trio.cli.options import asset as market
from tplus_trio.cli.options import duration, examples, number
from tplus_trio.cli.services import load_signer, order_options, services
from tplus_trio.cli.settings import value_of

if TYPE_CHECKING:
    from decimal import Decimal

    from tplus_trio.cli.order.plans import Plan
    from tplus_trio.models.asset import AssetIdentifier

__all__ = ["order"]

_json = click.option("--json", is_flag=True, help="Print the result as JSON, one object a line.")
_yes = click.option("--yes", is_flag=True, help="Send without asking.")


def _order_id(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Check an order id (a callback of click)."""
    from tplus_trio.models.order import validate_order_id  # noqa: PLC0415 - the help does not need the models

    try:
        return None if value is None else validate_order_id(value, name="an order id")
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None


def _carry_out(make: Callable[[], Plan], *, yes: bool, json: bool) -> int:
    """Check that the command may ask, sign in, and carry out a plan."""
    from tplus_trio.users.terminal import has_terminal  # noqa: PLC0415 - the help does not need it

    if not yes and not has_terminal():
        raise click.UsageError("There is no terminal to ask at, and nothing was sent; --yes sends without asking.")
    plan, where, user = make(), services(), load_signer()
    from tplus_trio.cli.asking import ask  # noqa: PLC0415 - not for the help
    from tplus_trio.cli.order.sending import run_plan  # noqa: PLC0415 - not for the help

    return run_plan(plan, where, user, value_of("user"), ask=None if yes else ask, json=json)


@click.group(
    "order",
    epilog=examples(
        "order create 200 buy 0.005 --price 9.00 --user alice",
        "order list --user alice",
        "order cancel-all --user alice",
    ),
)
def order() -> None:
    """Create, cancel, replace and list orders of a stored user.

    Prices are in quote units and quantities in base units. A command shows what it will send, and asks. Then it prints
    what became of the order. The exit status is 3 if the exchange refused it, and 4 if the order is in doubt: the
    request was sent, and it is not known whether it was carried out. Ctrl-C takes back an order that is being created.
    """


@order.command(
    "create",
    epilog=examples(
        "order create 200 buy 0.005 --price 9.00 --user alice",
        "order create 200 sell 0.005 --price 11.00 --post-only --tif gtd --expire 5m --user alice",
        "order create 200 buy 0.005 --market --max-amount 0.06 --user alice --yes --json",
    ),
)
@click.argument("asset", callback=market)
@click.argument("side", type=click.Choice(["buy", "sell"], case_sensitive=False))
@click.argument("quantity", callback=number)
@click.option("--price", callback=number, metavar="PRICE", help="The limit, in quote units.")
@click.option("--market", "at_market", is_flag=True, help="Trade at once at any price, instead of --price.")
@click.option("--max-amount", callback=number, metavar="AMOUNT", help="With --market, for a buy: the most to spend.")
@click.option(
    "--tif",
    type=click.Choice(["gtc", "gtd", "ioc", "fok"]),
    help="How long it rests: until cancelled, until --expire, or not at all.  [default: gtc; with --market: ioc]",
)
@click.option(
    "--expire", callback=duration, metavar="TIME", help="With --tif gtd: when it expires, 500ms, 30s, 5m, 1h."
)
@click.option("--post-only", is_flag=True, help="Let the exchange refuse the order if it would trade at once.")
@click.option("--reduce-only", is_flag=True, help="Let the order only reduce a position.")
@click.option("--margin", is_flag=True, help="Spend margin of the first margin account instead of its spot balance.")
@click.option("--id", "order_id", callback=_order_id, metavar="ID", help="The order's id.  [default: a random one]")
@order_options
@_yes
@_json
def _create(asset: AssetIdentifier, side: str, quantity: Decimal, *, yes: bool, json: bool, **terms: Any) -> int:
    """Create an order for QUANTITY base units in the market ASSET.

    SIDE is buy or sell. A limit order has a --price; a market order has --market.
    """
    _check_terms(side, terms)

    def make() -> Plan:
        from tplus_trio.cli.order.plans import CreatePlan, time_in_force  # noqa: PLC0415 - the help does not need it
        from tplus_trio.models import Side, TradeTarget, new_order_id  # noqa: PLC0415 - not for the help

        tif = terms["tif"] or ("ioc" if terms["at_market"] else "gtc")
        margin = TradeTarget.margin_account_margin_trade()
        return CreatePlan(
            asset,
            Side(side),
            quantity,
            terms["price"],
            time_in_force(tif, terms["expire"], post_only=terms["post_only"]),
            max_amount=terms["max_amount"],
            order_id=terms["order_id"] or new_order_id(),
            target=margin if terms["margin"] else TradeTarget.margin_account_spot_trade(),
            reduce_only=terms["reduce_only"],
        )

    return _carry_out(make, yes=yes, json=json)


def _check_terms(side: str, terms: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    tif = terms["tif"]
    if (terms["price"] is None) != terms["at_market"]:
        raise click.UsageError("Give either --price or --market.")
    if terms["at_market"] and (tif in {"gtc", "gtd"} or terms["post_only"]):
        raise click.UsageError("--market does not rest: it takes --tif ioc or fok, and no --post-only.")
    if terms["max_amount"] is not None and not (terms["at_market"] and side == "buy"):
        raise click.UsageError("--max-amount goes with --market and buy.")
    if (tif == "gtd") != (terms["expire"] is not None):
        raise click.UsageError("--tif gtd and --expire go together.")
    if tif in {"ioc", "fok"} and terms["post_only"]:
        raise click.UsageError("--post-only is for an order that rests: --tif gtc or gtd.")


@order.command("cancel", epilog=examples("order cancel my-order 200 --user alice"))
@click.argument("order_id", callback=_order_id)
@click.argument("asset", callback=market)
@order_options
@_yes
@_json
def _cancel(order_id: str, asset: AssetIdentifier, yes: bool, json: bool) -> int:
    """Cancel the order ORDER_ID in the market ASSET."""

    def make() -> Plan:
        from tplus_trio.cli.order.plans import CancelPlan  # noqa: PLC0415 - the help does not need it

        return CancelPlan(order_id, asset)

    return _carry_out(make, yes=yes, json=json)


@order.command(
    "replace",
    epilog=examples(
        "order replace my-order 200 --price 9.10 --user alice",
        "order replace my-order 200 --quantity 0.010 --price 9.10 --user alice",
    ),
)
@click.argument("order_id", callback=_order_id)
@click.argument("asset", callback=market)
@click.option("--quantity", callback=number, metavar="QUANTITY", help="The new total, filled part included.")
@click.option("--price", callback=number, metavar="PRICE", help="The new limit, in quote units.")
@order_options
@_yes
@_json
def _replace(
    order_id: str, asset: AssetIdentifier, quantity: Decimal | None, price: Decimal | None, yes: bool, json: bool
) -> int:
    """Give the order ORDER_ID in the market ASSET a new price, a new quantity, or both.

    The order keeps its id and its expiry, and in general loses its place in the queue. What is not given stays as it
    is. A trigger that the order waits for stays, too.
    """
    if quantity is None and price is None:
        raise click.UsageError("Give --price, --quantity, or both.")

    def make() -> Plan:
        from tplus_trio.cli.order.plans import ReplacePlan  # noqa: PLC0415 - the help does not need it

        return ReplacePlan(order_id, asset, quantity, price)

    return _carry_out(make, yes=yes, json=json)


@order.command(
    "cancel-all", epilog=examples("order cancel-all 200 --user alice", "order cancel-all --user alice --yes")
)
@click.argument("asset", callback=market, required=False)
@order_options
@_yes
@_json
def _cancel_all(asset: AssetIdentifier | None, yes: bool, json: bool) -> int:
    """Cancel all open orders of the user, in the market ASSET or in all markets.

    This includes the orders of other programs that use the same key. It shows the orders that are open now, and
    cancels those that are open after the answer. An order that is created meanwhile may be missed.
    """

    def make() -> Plan:
        from tplus_trio.cli.order.plans import CancelAllPlan  # noqa: PLC0415 - the help does not need it

        return CancelAllPlan(asset)

    return _carry_out(make, yes=yes, json=json)


@order.command(
    "list", epilog=examples("order list --user alice", "order list 200 --all --limit 20 --json --user alice")
)
@click.argument("asset", callback=market, required=False)
@click.option("--all", "ended_too", is_flag=True, help="List orders that have ended, too.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="The most orders to list.")
@order_options
@_json
def _list(asset: AssetIdentifier | None, ended_too: bool, limit: int, json: bool) -> int:
    """List the open orders of the user, newest first, in the market ASSET or in all markets."""
    where, user = services(), load_signer()
    from tplus_trio.cli.order.listing import list_orders  # noqa: PLC0415 - the help does not need it
    from tplus_trio.cli.run import run  # noqa: PLC0415 - not for the help

    program = partial(list_orders, services=where, user=user, asset=asset)
    return run(partial(program, ended_too=ended_too, limit=limit, as_json=json))
