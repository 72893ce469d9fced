"""Random records of a journal: what a program writes, and what it then has, by a model of a few lines."""

from __future__ import annotations

from random import Random

from tests.helpers.model_values import KEY
from tplus_trio.models import (
    GTD,
    IOC,
    AmendOrder,
    AssetIdentifier,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    Order,
    OrderDetails,
    OrderTrigger,
    ReplaceOrderDetails,
    Side,
    TriggerAbove,
)
from tplus_trio.orders.journal.lines import ChangeSent, OrderGone, OrderSent, Record
from tplus_trio.orders.order_facts import Change

__all__ = ["amendment_of", "order_named", "random_records", "replacement_of"]

_KEYS = (None, "bid", "ask", 'a "quoted" \\ key\n', "é€")


def order_named(order_id: str, number: int = 1, details: OrderDetails | None = None) -> Order:
    return Order(
        signer=KEY,
        order_id=order_id,
        base_asset=AssetIdentifier(200),
        book_price_decimals=2,
        book_quantity_decimals=3,
        details=LimitOrderDetails(900 + number, 5) if details is None else details,
        side=Side.BUY if number % 2 else Side.SELL,
        trigger=OrderTrigger(None, TriggerAbove(5)) if number % 5 == 0 else None,
        creation_timestamp_ns=1_700_000_000_000_000_000 + number,
    )


def replacement_of(order: Order, number: int = 1) -> ReplaceOrderDetails:
    return ReplaceOrderDetails(
        order_id=order.order_id,
        base_asset=order.base_asset,
        timestamp_ns=order.creation_timestamp_ns + number,
        new_price_limit=800 + number,
        new_quantity=4,
        book_quantity_decimals=3,
        book_price_decimals=2,
    )


def amendment_of(order: Order, number: int = 1) -> AmendOrder:
    return AmendOrder(
        order_id=order.order_id,
        base_asset=order.base_asset,
        new_quantity=3,
        book_quantity_decimals=3,
        timestamp_ns=order.creation_timestamp_ns + number,
    )


def random_records(
    random: Random, length: int
) -> tuple[list[Record], dict[int, tuple[Order, str | None, list[Change]]]]:
    """Return records as a scope writes them, and the orders that have not gone after them, by their entries."""
    records: list[Record] = []
    left: dict[int, tuple[Order, str | None, list[Change]]] = {}
    entry = 0
    for number in range(1, length + 1):
        known = random.choice(sorted(left)) if left and random.random() < 0.7 else None
        match random.choice(["follow", "change", "amend", "gone"]) if known is not None else "new":
            case "change" | "amend" as kind:
                assert known is not None
                order, _, changes = left[known]
                change = replacement_of(order, number) if kind == "change" else amendment_of(order, number)
                changes.append(change)
                records.append(ChangeSent(known, change))
            case "gone":
                assert known is not None
                del left[known]
                records.append(OrderGone(known))
            case _:
                entry += random.choice([1, 1, 7])
                key = random.choice(_KEYS) if known is None else left.pop(known)[1]
                order = order_named(f"o{number}", number, _details(random))
                left[entry] = (order, key, [])
                records.append(OrderSent(entry, order, key, known))
    return records, left


def _details(random: Random) -> OrderDetails:
    kinds: list[OrderDetails] = [
        LimitOrderDetails(random.randint(1, 10**12), 7),
        LimitOrderDetails(5, 7, GTD(post_only=True, timestamp_ns=2**60)),
        LimitOrderDetails(5, 7, IOC()),
        MarketOrderDetails(MarketQuantity(MarketBaseQuantity(5, 10))),
    ]
    return random.choice(kinds)
