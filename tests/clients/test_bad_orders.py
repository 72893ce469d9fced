"""Orders that cannot be sent: the error names the argument, its value and what is legal, and nothing is sent.

`CALLS` has legal arguments for each call about orders. Each row of `BAD` changes one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import attrs
import pytest
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import (
    NotFoundError,
    OrderFateUnknown,
    OrderLimitExceeded,
    OrderLimits,
    TriggerAbove,
    User,
)

PRICE: Final = 9_000
SIGNER: Final = User()

CALLS: Final[dict[str, dict[str, Any]]] = {
    "create_limit_order": {"quantity": 5, "price": PRICE, "side": "Buy", "asset_id": ASSET, "order_id": "new"},
    "create_market_order": {"side": "Buy", "base_quantity": 5, "asset_id": ASSET, "order_id": "new"},
    "prepare_limit_order_request": {
        "asset_id": ASSET,
        "price": PRICE,
        "quantity": 5,
        "side": "Buy",
        "target": None,
        "time_in_force": None,
        "order_id": "new",
    },
    "cancel_order": {"order_id": "old", "asset_id": ASSET},
    "replace_order": {"original_order_id": "old", "asset_id": ASSET, "new_quantity": 4, "new_price": PRICE},
    "prepare_replace_order_request": {
        "original_order_id": "old",
        "asset_id": ASSET,
        "new_quantity": 4,
        "new_price": PRICE,
    },
    "amend_order": {"order_id": "old", "asset_id": ASSET, "new_quantity": 4},
}
CREATES: Final = ("create_limit_order", "create_market_order", "prepare_limit_order_request")
LIMIT_CREATES: Final = ("create_limit_order", "prepare_limit_order_request")
REPLACES: Final = ("replace_order", "prepare_replace_order_request")


@attrs.frozen
class Bad:
    """A call with one argument, or several, that are not legal."""

    call: str
    arguments: dict[str, Any]
    kind: type[Exception]
    #: What the message says.
    says: str

    def __str__(self) -> str:
        return f"{self.call}, {', '.join(f'{name}={value!r:.30}' for name, value in self.arguments.items())}"


def numbers(name: str, unit: str) -> list[tuple[Any, type[Exception], str]]:
    """Return values that are no price, quantity or amount, with what is said of them."""
    types = rf"^{name} is an int \(units of the book\) or a Decimal \({unit} units\), not"
    return [
        (0, ValueError, f"^{name} is more than 0, not 0$"),
        (-3, ValueError, f"^{name} is more than 0, not -3$"),
        (Decimal(0), ValueError, f"^{name} is more than 0, not 0$"),
        (Decimal("-0.5"), ValueError, rf"^{name} is more than 0, not -0\.5$"),
        (Decimal("NaN"), ValueError, f"^{name} must be finite, got NaN$"),
        (Decimal("Infinity"), ValueError, f"^{name} must be finite, got Infinity$"),
        (1.5, TypeError, f"{types} float$"),
        (True, TypeError, f"{types} bool$"),
        ("5", TypeError, f"{types} str$"),
    ]


#: Arguments, and the calls that take them.
Takers = list[tuple[str, tuple[str, ...]]]
PRICES: Final[Takers] = [("price", LIMIT_CREATES), ("new_price", REPLACES)]
QUANTITIES: Final[Takers] = [
    ("quantity", LIMIT_CREATES),
    ("base_quantity", ("create_market_order",)),
    ("new_quantity", (*REPLACES, "amend_order")),
]
IDS: Final[Takers] = [("order_id", (*CREATES, "cancel_order", "amend_order")), ("original_order_id", REPLACES)]

BAD: list[Bad] = []
for argument, calls in PRICES:
    for call in calls:
        BAD += [Bad(call, {argument: value}, kind, says) for value, kind, says in numbers(argument, "quote")]
        BAD.append(
            Bad(call, {argument: Decimal("90.005")}, ValueError, rf"^{argument} 90\.005 is no multiple of 0\.01")
        )
for argument, calls in QUANTITIES:
    for call in calls:
        BAD += [Bad(call, {argument: value}, kind, says) for value, kind, says in numbers(argument, "base")]
        wrong = Decimal("0.0045")
        BAD.append(Bad(call, {argument: wrong}, ValueError, rf"^{argument} 0\.0045 is no multiple of 0\.001"))
for argument, calls in IDS:
    for call in calls:
        length = f"^{argument} must be 1 to 24 UTF-8 bytes long, got"
        BAD += [
            Bad(call, {argument: ""}, ValueError, f"{length} 0$"),
            Bad(call, {argument: "x" * 25}, ValueError, f"{length} 25$"),
            Bad(call, {argument: "é" * 13}, ValueError, f"{length} 26$"),
            Bad(call, {argument: "\ud800"}, ValueError, f"^{argument} must have a UTF-8 form"),
            Bad(call, {argument: 7}, TypeError, f"^{argument} must be a str, got int$"),
        ]
for call in CREATES:
    BAD += [
        Bad(call, {"side": "up"}, ValueError, "^side is.*Buy.*Sell.*'up'"),
        Bad(call, {"side": 1}, ValueError, "^side is.*Buy.*Sell.*1"),
        Bad(call, {"side": None}, ValueError, "^side is.*Buy.*Sell.*None"),
        Bad(call, {"additional_signers": ["me"]}, TypeError, "^additional_signers is a list of User.*str"),
        Bad(call, {"additional_signers": SIGNER}, TypeError, "^additional_signers is a list of User, not User$"),
        Bad(call, {"max_trading_fees_rate": -1}, ValueError, "^max_trading_fees_rate is at least 0, not -1"),
        Bad(call, {"target": (0, True)}, TypeError, "^target is.*TradeTarget.*tuple"),
        Bad(call, {"trigger": 9_500}, TypeError, "^trigger is.*OrderTrigger.*int"),
        Bad(
            call, {"trigger": TriggerAbove(9_500)}, TypeError, r"OrderTrigger\(None, TriggerAbove\(.*not TriggerAbove$"
        ),
        Bad(call, {"reduce_only": 1}, TypeError, "^reduce_only is.*bool.*int"),
    ]
for call in LIMIT_CREATES:
    BAD.append(Bad(call, {"time_in_force": "GTC"}, TypeError, r"^time_in_force is a GTC\(\).*'GTC'"))
for call in ("create_limit_order", "create_market_order"):
    BAD.append(Bad(call, {"asset_id": None}, TypeError, "^asset_id is required"))
for call in CALLS:
    BAD += [
        Bad(call, {"asset_id": "ETH"}, ValueError, "^asset_id: .*index.*'ETH'"),
        Bad(call, {"asset_id": 1.5}, TypeError, "^asset_id: .*index.*float$"),
        Bad(call, {"user": "alice"}, TypeError, "user is.*load_user"),
    ]
BAD += [
    Bad("create_market_order", {"quote_quantity": 5}, ValueError, "^exactly one of.*; both are given$"),
    Bad("create_market_order", {"base_quantity": None}, ValueError, "^exactly one of.*; neither is given$"),
    Bad("create_market_order", {"max_sellable_quantity": 5}, ValueError, "^max_sellable_quantity goes with quote"),
    Bad(
        "create_market_order",
        {"base_quantity": None, "quote_quantity": 5, "max_sellable_amount": 5},
        ValueError,
        "^max_sellable_amount goes with base",
    ),
    Bad("create_market_order", {"fill_or_kill": 1}, TypeError, "^fill_or_kill is.*bool.*int"),
    *(
        Bad("create_market_order", {"base_quantity": None, "quote_quantity": value}, kind, says)
        for value, kind, says in numbers("quote_quantity", "quote")
    ),
    *(
        Bad("create_market_order", {"max_sellable_amount": value}, kind, says)
        for value, kind, says in numbers("max_sellable_amount", "quote")
    ),
    *(
        Bad(
            "create_market_order",
            {"side": "Sell", "base_quantity": None, "quote_quantity": 5, "max_sellable_quantity": value},
            kind,
            says,
        )
        for value, kind, says in numbers("max_sellable_quantity", "base")
    ),
    Bad(
        "create_market_order",
        {"max_sellable_amount": Decimal("0.0000001")},
        ValueError,
        "^max_sellable_amount 1E-7 is no multiple of 0.00001",
    ),
    Bad("amend_order", {"expected_authorization_revision": -1}, ValueError, "^expected_authorization_revision is"),
    Bad("amend_order", {"expected_authorization_revision": 1.5}, TypeError, "^expected_authorization_revision is"),
    *(
        Bad(call, {"new_trigger": 9_500}, TypeError, "^new_trigger is.*TriggerAbove.*TriggerBelow.*int")
        for call in REPLACES
    ),
]


def requests_about_orders(world: World) -> tuple[object, ...]:
    """Return what shows that a request about an order was sent, over REST or over the control channel."""
    over_rest = [item for item in world.exchange.requests.items() if item[0][0] != "GET" and "/orders/" in item[0][1]]
    return (over_rest, world.oms.statistics().control, world.exchange.orders(world.user))


@pytest.fixture(params=[False, True], ids=["rest", "control"])
def control(request: pytest.FixtureRequest) -> bool:
    """Whether the client sends over the control channel."""
    return bool(request.param)


async def refuse(world: World, call: str, kind: type[Exception], says: str, /, *given: Any, **arguments: Any) -> None:
    """Check that a call is refused, and that nothing about an order was sent."""
    before = requests_about_orders(world)
    with pytest.raises(kind, match=says):
        await getattr(world.oms, call)(*given, **arguments)
    assert requests_about_orders(world) == before


@pytest.mark.parametrize("call", CALLS)
async def test_a_bad_argument_is_named_and_nothing_is_sent(call: str, control: bool, autojump_clock: MockClock) -> None:
    async with open_world(orders={"use_ws_control": control}) as world:
        await world.oms.create_limit_order(5, PRICE, "Buy", asset_id=ASSET, order_id="old")
        for bad in BAD:
            if bad.call == call:
                try:
                    await refuse(world, call, bad.kind, bad.says, **CALLS[call] | bad.arguments)
                except BaseException as exc:
                    exc.add_note(f"in {bad}")
                    raise
        before = requests_about_orders(world)
        await getattr(world.oms, call)(**CALLS[call])
        is_sent = not call.startswith("prepare")
        assert (requests_about_orders(world) != before) == is_sent


@pytest.mark.parametrize("call", CALLS)
async def test_an_unknown_market(call: str, control: bool, autojump_clock: MockClock) -> None:
    async with open_world(orders={"use_ws_control": control}) as world:
        await world.oms.create_limit_order(5, PRICE, "Buy", asset_id=ASSET, order_id="old")
        if call == "cancel_order":
            # A cancellation needs no units, so it is sent. A copy may have been carried out.
            with pytest.raises(OrderFateUnknown, match="_NOT_FOUND"):
                await world.oms.cancel_order("old", 901)
        else:
            await refuse(world, call, NotFoundError, "no market for asset 901", **CALLS[call] | {"asset_id": 901})


# Batches.


async def orders(world: World, *names: str, user: User | None = None) -> list[Any]:
    """Sign orders to create."""
    prepare = world.oms.prepare_limit_order_request
    return [(await prepare(ASSET, PRICE, 5, "Buy", None, None, order_id=name, user=user))[1] for name in names]


async def replacements(world: World, *names: str, user: User | None = None) -> list[Any]:
    """Sign new terms of orders."""
    prepare = world.oms.prepare_replace_order_request
    return [await prepare(name, ASSET, 4, PRICE, user=user) for name in names]


BATCHES: Final[dict[str, tuple[str, Callable[..., Any]]]] = {
    "send_multiple_orders": ("create_order_requests", orders),
    "replace_multiple_orders": ("replace_requests", replacements),
}


@pytest.mark.parametrize("call", BATCHES)
async def test_a_bad_batch(call: str, control: bool, autojump_clock: MockClock) -> None:
    name, signed = BATCHES[call]
    async with open_world(orders={"use_ws_control": control}) as world:
        await world.oms.create_limit_order(5, PRICE, "Buy", asset_id=ASSET, order_id="old")
        most = [str(number) for number in range(50)]
        other = await signed(world, "other", user=User())
        batches: list[tuple[Any, type[Exception], str]] = [
            ([], ValueError, f"^{name} has 1 to 50 requests, not 0$"),
            (await signed(world, *most, "one more"), ValueError, f"^{name} has 1 to 50 requests, not 51$"),
            (await signed(world, "a", "b", "a"), ValueError, f"^{name} has each order id once, and 'a' twice$"),
            ([*await signed(world, "a"), *other], ValueError, f"^{name} has requests signed by its user, and 'other'"),
            ([*await signed(world, "a"), "b"], TypeError, f"^{name} has .* only, and one of them is a str$"),
        ]
        for batch, kind, says in batches:
            await refuse(world, call, kind, says, batch)
        await refuse(world, call, TypeError, f"^{name} is a list of .*, not [A-Z][A-Za-z]*$", batches[-1][0][0])
        await refuse(world, call, TypeError, "load_user", await signed(world, "a"), user="alice")
        wrong_kind = await BATCHES[next(each for each in BATCHES if each != call)][1](world, "a")
        await refuse(world, call, TypeError, f"^{name} has .* only", wrong_kind)
        results = (await getattr(world.oms, call)(await signed(world, *most))).batch_order_status
        assert len(results) == 50


# Limits.


async def test_beyond_the_limits(control: bool, autojump_clock: MockClock) -> None:
    limits = OrderLimits(Decimal("0.005"), 2, Decimal("0.05"), reference_price=lambda _: Decimal(90))
    async with open_world(orders={"use_ws_control": control, "limits": limits}) as world:
        await world.oms.create_limit_order(5, PRICE, "Buy", asset_id=ASSET, order_id="old")
        large, far = r"at most 0\.005 \(max_quantity\), not 0\.006", r"\(max_deviation\), and 94\.51 is not"
        exceeded = OrderLimitExceeded
        for call in ("create_limit_order", "replace_order"):
            arguments = CALLS[call]
            new = "new_" if call == "replace_order" else ""
            await refuse(world, call, exceeded, large, **arguments | {f"{new}quantity": 6})
            await refuse(world, call, exceeded, far, **arguments | {f"{new}price": 9_451})
        await refuse(world, "create_market_order", exceeded, large, "Buy", 6, asset_id=ASSET)
        await refuse(world, "create_market_order", exceeded, large, "Buy", None, Decimal("0.54"), asset_id=ASSET)
        three = await orders(world, "a", "b")
        await refuse(world, "send_multiple_orders", exceeded, r"at most 2 .*\(max_open\): 1 are", three)
        await world.oms.send_multiple_orders(three[:1])
        await refuse(world, "create_limit_order", exceeded, r"\(max_open\)", **CALLS["create_limit_order"])
