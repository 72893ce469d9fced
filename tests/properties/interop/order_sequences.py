"""Programs of order requests that reach what random ones seldom do: each step needs what the steps before it did."""

from __future__ import annotations

from typing import Any, Final

from tests.properties.interop.order_programs import Step

__all__ = ["SEQUENCES"]

ALICE, BOB = 0, 1
NO_OTHER_TERMS: Final[dict[str, Any]] = {
    "time_in_force": None,
    "target": None,
    "max_trading_fees_rate": None,
    "trigger": None,
    "reduce_only": False,
}


_BY_QUOTE: Final[dict[str, Any]] = {
    "size": {"quote_quantity": 100, "max_sellable_quantity": None},
    "fill_or_kill": False,
    "trigger": None,
}


def _terms(order_id: str, side: str, price: int, quantity: int, **others: Any) -> dict[str, Any]:
    return {"order_id": order_id, "side": side, "price": price, "quantity": quantity, **NO_OTHER_TERMS, **others}


def _limit(user: int, order_id: str, side: str, price: int, quantity: int, **others: Any) -> Step:
    return Step("limit", user, "200", _terms(order_id, side, price, quantity, **others))


def _market(user: int, order_id: str, side: str, size: dict[str, int | None], **others: Any) -> Step:
    return Step(
        "market",
        user,
        "200",
        {"order_id": order_id, "side": side, "size": size, "fill_or_kill": False, "trigger": None, **others},
    )


def _new_terms(order_id: str, price: int, quantity: int, trigger: tuple[bool, int] | None = None) -> dict[str, Any]:
    return {"id": order_id, "new_quantity": quantity, "new_price": price, "new_trigger": trigger}


def _replace(user: int, *new_terms: Any) -> Step:
    return Step("replace", user, "200", _new_terms(*new_terms))


def _amend(user: int, order_id: str, quantity: int, *, current: bool) -> Step:
    return Step("amend", user, "200", {"id": order_id, "new_quantity": quantity, "current": current})


def _cancel(user: int, order_id: str) -> Step:
    return Step("cancel", user, "200", {"id": order_id})


def _wait(milliseconds: int) -> Step:
    return Step("wait", ALICE, "200", {"milliseconds": milliseconds})


def _list(user: int, which: str = "all") -> Step:
    return Step("list", user, "200", {"which": which})


SEQUENCES: Final[dict[str, list[Step]]] = {
    "amend with and without the revision": [
        _limit(ALICE, "a", "Buy", 98, 9),
        _amend(ALICE, "a", 8, current=True),
        _replace(ALICE, "a", 97, 7),
        _amend(ALICE, "a", 6, current=False),
        _amend(ALICE, "a", 6, current=True),
        _amend(ALICE, "a", 6, current=True),
        _amend(ALICE, "a", 9, current=True),
        _list(ALICE, "open"),
    ],
    "replace an order in part filled": [
        _limit(ALICE, "a", "Buy", 100, 9),
        _limit(BOB, "b", "Sell", 100, 4),
        _replace(ALICE, "a", 101, 4),
        _replace(ALICE, "a", 101, 6),
        _limit(BOB, "c", "Sell", 101, 1),
        _limit(ALICE, "b", "Buy", 99, 5),
        _replace(ALICE, "b", 98, 5, (True, 103)),
        _list(ALICE),
    ],
    "replace triggers": [
        _limit(ALICE, "a", "Buy", 99, 5, trigger=(None, (True, 102))),
        _replace(ALICE, "a", 98, 4, (True, 101)),
        _limit(ALICE, "b", "Buy", 97, 5, trigger=("a", (False, 98))),
        _replace(ALICE, "b", 98, 4),
        _list(ALICE, "open"),
        _limit(BOB, "a", "Sell", 101, 5),
        _limit(ALICE, "ä/ +%", "Buy", 101, 2),
        _list(ALICE),
    ],
    "market orders and their caps": [
        _limit(BOB, "a", "Sell", 101, 9),
        _limit(BOB, "b", "Buy", 98, 9),
        _market(ALICE, "a", "Buy", {"base_quantity": 3, "max_sellable_amount": None}),
        _market(ALICE, "b", "Buy", {"base_quantity": 3, "max_sellable_amount": 150}),
        _market(ALICE, "c", "Buy", {"quote_quantity": 300, "max_sellable_quantity": None}),
        _market(ALICE, "d", "Sell", {"quote_quantity": 300, "max_sellable_quantity": 1}),
        _market(ALICE, "e", "Buy", {"base_quantity": 50, "max_sellable_amount": None}, fill_or_kill=True),
        _list(ALICE, "book"),
    ],
    "an id that an order of another market has": [
        Step("market", ALICE, "7", {**_BY_QUOTE, "order_id": "a", "side": "Buy"}),
        _limit(ALICE, "a", "Buy", 97, 1),
        Step("market", ALICE, "7", {**_BY_QUOTE, "order_id": "b", "side": "Sell"}),
        _limit(ALICE, "b", "Sell", 103, 1),
        _list(ALICE),
    ],
    "terms of the book": [
        _limit(BOB, "a", "Sell", 101, 5),
        _limit(ALICE, "a", "Buy", 101, 2, time_in_force=("GTC", True, 0)),
        _limit(ALICE, "b", "Buy", 101, 9, time_in_force=("IOC", True, 0)),
        _limit(ALICE, "c", "Buy", 101, 2, time_in_force=("IOC", False, 0)),
        _limit(ALICE, "d", "Buy", 99, 2, time_in_force=("GTD", False, 20)),
        _limit(ALICE, "e", "Buy", 99, 2, time_in_force=("GTD", False, -5)),
        _wait(10),
        _wait(10),
        _cancel(ALICE, "d"),
        _cancel(ALICE, "d"),
        _list(ALICE),
    ],
    "reduce only": [
        _limit(ALICE, "a", "Sell", 99, 2, reduce_only=True, target=(1, False)),
        _limit(BOB, "a", "Sell", 100, 5, target=(1, False)),
        _limit(ALICE, "b", "Buy", 100, 5, target=(1, False), max_trading_fees_rate=60_000),
        _limit(ALICE, "c", "Sell", 103, 9, reduce_only=True, target=(1, False)),
        _limit(BOB, "b", "Buy", 103, 9, target=(1, False)),
        _list(ALICE),
        _list(BOB),
    ],
    "batches": [
        Step(
            "batch create",
            ALICE,
            "200",
            {
                "items": [
                    _terms("b", "Buy", 98, 3),
                    _terms("a", "Buy", 97, 3, time_in_force=("GTD", True, -5)),
                    _terms("ä/ +%", "Buy", 99, 3),
                ]
            },
        ),
        Step(
            "batch replace",
            ALICE,
            "200",
            {"items": [_new_terms("ä/ +%", 97, 4), _new_terms("a", 98, 3), _new_terms("b", 97, 5)]},
        ),
        _amend(ALICE, "b", 4, current=False),
        _cancel(BOB, "b"),
        _cancel(ALICE, "b"),
        _list(ALICE, "open"),
        _list(BOB, "open"),
    ],
    "a batch of refusals alone": [
        Step("batch replace", ALICE, "200", {"items": [_new_terms("a", 97, 4)]}),
        _list(ALICE),
        _list(ALICE, "open"),
    ],
    "users and markets": [
        _list(BOB),
        _limit(ALICE, "a", "Buy", 98, 3),
        _limit(BOB, "a", "Buy", 98, 3),
        _limit(ALICE, "a", "Buy", 98, 3),
        _limit(ALICE, "b", "Sell", 98, 3),
        Step("cancel", ALICE, "7", {"id": "a"}),
        Step("limit", BOB, "7", _terms("b", "Sell", 98, 3)),
        _list(BOB),
    ],
}
