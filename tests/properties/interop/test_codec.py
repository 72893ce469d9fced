"""This package and the official client decode the same bytes, and sign the same requests."""

from __future__ import annotations

import json
from decimal import Context, Decimal
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from tplus.model import (
    klines,
    orderbook,
    trades,
)
from tplus.model import order as their_order

from tests.helpers.wire_strategies import flags, order_ids, sizes, thorough, times
from tplus_trio import codec
from tplus_trio.models import (
    AssetIdentifier,
    OrderCreatedEvent,
    UnknownOrderEvent,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


statuses = st.sampled_from(["Pending", "Confirmed", "Rollbacked"])


class Number(str):
    """The text of a number, which is written into JSON without quotation marks."""

    __slots__ = ()


def write(value: Any) -> str:
    """Write JSON in which every :class:`Number` stands as it is spelled."""
    match value:
        case Number():
            return str(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(key)}:{write(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(write, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _spelled(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Numbers as JSON numbers and as strings."""
    return st.builds(lambda text, bare: Number(text) if bare else text, texts, flags)


#: Up to 15 digits, which a float keeps: the official client reads JSON numbers as floats.
amounts = _spelled(
    st.one_of(
        st.integers(0, 10**15).map(lambda number: f"{number // 10**6}.{number % 10**6:06}"),
        st.integers(0, 10**12).map(str),
        st.sampled_from(["1.30e-5", "1E+5", "2e3", "0.0", "0"]),
    )
)


signed_amounts = amounts | amounts.map(lambda text: type(text)(f"-{text}"))


_WIDE = Context(prec=100)


#: Text of any length, which neither client may round.
long_amounts = st.builds(
    lambda digits, exponent: str(Decimal(digits).scaleb(exponent, _WIDE)),
    st.integers(0, 10**88),
    st.integers(-80, 1),
)


prices = amounts | long_amounts


integers = st.builds(lambda number, bare: number if bare else str(number), st.integers(0, 2**63 - 1), flags)


assets = st.one_of(
    st.integers(0, 10**9).map(str),
    st.binary(min_size=20, max_size=32).map(lambda address: f"{address.hex()}@00000000000000a4b1"),
    st.binary(min_size=20, max_size=20).map(lambda address: f"0x{address.hex()}@00000000000000a4b1"),
    st.integers(0, 10**9).map(lambda index: {"Index": index}),
    st.binary(min_size=32, max_size=32).map(lambda address: {"Address": {"address": list(address), "chain": [0] * 9}}),
)


extras = st.sampled_from([{}, {"new_key": [1, {"a": None}]}])


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def records(
    required: dict[str, st.SearchStrategy[Any]], **others: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw wire objects: the required keys, some of the others, and sometimes an unknown one."""
    return st.builds(lambda a, b, c: a | b | c, st.fixed_dictionaries(required), optional(**others), extras)


def assert_same(ours: Any, theirs: Any, wire: dict[str, Any]) -> None:
    """Compare field by field; if the official client used a float, ours is converted to one as well."""
    for field in attrs.fields(type(ours)):
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if isinstance(mine, AssetIdentifier):
            other = str(other)
        if isinstance(mine, Decimal) and isinstance(wire.get(field.name), Number):
            assert mine == Decimal(wire[field.name]), field.name
            mine, other = float(mine), float(other)
        assert mine == other, field.name
        assert isinstance(mine, bool) == isinstance(other, bool), field.name


levels = st.lists(st.tuples(prices, prices), max_size=6)


@thorough
@given(records({"asks": levels, "bids": levels, "sequence_number": integers}))
def test_depth(wire: dict[str, Any]) -> None:
    frame = write(wire)
    (ours,) = codec.decode_depth_frame(frame)
    theirs = orderbook.OrderBookDiff.model_validate(json.loads(frame))
    assert ours.sequence_number == theirs.sequence_number
    for side in ("asks", "bids"):
        assert [[float(n) for n in level] for level in getattr(ours, side)] == getattr(theirs, side)
        assert [list(level) for level in getattr(ours, side)] == [[Decimal(n) for n in pair] for pair in wire[side]]


@thorough
@given(
    records(
        {
            "asset_id": assets,
            "trade_id": integers,
            "price": prices,
            "quantity": prices,
            "timestamp_ns": integers,
            "buyer_is_maker": flags,
        },
        order_id=texts,
        status=statuses,
    )
)
def test_trades(wire: dict[str, Any]) -> None:
    frame = write(wire)
    (ours,) = codec.decode_trade_frame(frame)
    assert_same(ours, trades.parse_single_trade(json.loads(frame)), wire)


@thorough
@given(
    records(
        {
            "asset_id": assets,
            "trade_id": integers,
            "order_id": texts,
            "price": prices,
            "quantity": prices,
            "timestamp_ns": integers,
            "is_maker": flags,
            "is_buyer": flags,
            "status": statuses,
        },
        rollback_reason=st.none() | texts,
        is_liquidation=flags,
        is_auto_deleverage=flags,
        sub_account=integers,
        trading_fee=signed_amounts,
    )
)
def test_user_trades(wire: dict[str, Any]) -> None:
    frame = write(wire)
    (ours,) = codec.decode_user_trade_frame(frame)
    theirs = trades.parse_single_user_trade(json.loads(frame))
    assert_same(ours, theirs, wire)
    assert ours.buyer_is_maker == theirs.buyer_is_maker


bars = records(
    {
        "open": prices,
        "high": prices,
        "low": prices,
        "close": prices,
        "volume": prices,
        "open_timestamp_ns": integers,
        "close_timestamp_ns": integers,
    }
)


@thorough
@given(st.lists(bars, max_size=3))
def test_klines(wire: list[dict[str, Any]]) -> None:
    frame = write(wire)
    asset = AssetIdentifier(200)
    ours = codec.kline_frame_decoder(asset)(frame)
    theirs = klines.parse_timebars(json.loads(frame))
    assert len(ours) == len(theirs) == len(wire)
    for mine, other, bar in zip(ours, theirs, wire, strict=True):
        assert mine.asset_id == asset
        assert_same(mine, _WithAsset(other, asset), bar)


class _WithAsset:
    """A candle of theirs that also has an asset, which only ours has."""

    def __init__(self, bar: Any, asset: AssetIdentifier) -> None:
        self.bar, self.asset_id = bar, asset

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bar, name)


keys = st.binary(min_size=32, max_size=32).map(bytes.hex)


times_in_force = st.one_of(
    st.fixed_dictionaries({"GTC": st.fixed_dictionaries({"post_only": flags})}),
    st.fixed_dictionaries({"GTD": st.fixed_dictionaries({"post_only": flags, "timestamp_ns": times})}),
    st.fixed_dictionaries({"IOC": st.fixed_dictionaries({"fill_or_kill": flags})}),
)


market_sizes = st.one_of(
    st.fixed_dictionaries(
        {"BaseAsset": st.fixed_dictionaries({"quantity": sizes, "max_sellable_amount": st.none() | sizes})}
    ),
    st.fixed_dictionaries(
        {"QuoteAsset": st.fixed_dictionaries({"quantity": sizes, "max_sellable_quantity": st.none() | sizes})}
    ),
)


details = st.one_of(
    st.fixed_dictionaries(
        {
            "Limit": st.fixed_dictionaries(
                {"limit_price": integers, "quantity": integers, "time_in_force": times_in_force}
            )
        }
    ),
    st.fixed_dictionaries({"Market": st.fixed_dictionaries({"quantity": market_sizes, "fill_or_kill": flags})}),
)


wire_orders = records(
    {
        "signer": keys,
        "order_id": order_ids,
        "base_asset": assets,
        "book_price_decimals": st.integers(-20, 20),
        "book_quantity_decimals": st.integers(-20, 20),
        "details": details,
        "side": st.sampled_from(["Buy", "Sell", "bid", "ASK"]),
        "creation_timestamp_ns": integers,
    },
    trigger=st.none(),
    target=st.fixed_dictionaries({"account": st.integers(0, 9), "is_spot": flags}),
    reduce_only=flags,
    max_trading_fees_rate=st.integers(0, 10**6),
    protocol_version=st.integers(1, 3),
)


named = {"order_id": texts, "asset_id": assets, "user_id": texts}


failed = records({"order_id": texts, "user_id": texts}, reason=st.none() | texts)


ORDER_EVENTS = {
    "Created": records(
        {
            "user_order": wire_orders,
            "signature": st.lists(st.integers(0, 255), max_size=64),
            "book_timestamp_ns": integers,
        },
        limit_overrides=st.none() | st.dictionaries(texts, texts, max_size=2),
        trigger_touched=st.none() | flags,
        is_liquidation=flags,
        is_auto_deleverage=flags,
    ),
    "Updated": records(
        {
            "order_id": texts,
            "status": texts,
            "filled_quantity": integers,
            "remaining_quantity": integers,
            "update_timestamp_ns": integers,
        }
    ),
    "Canceled": records(
        named | {"timestamp_ns": integers},
        operator_pubkey=st.none() | texts,
        initial_receive_timestamp_ns=st.none() | integers,
        reason=st.none() | texts,
    ),
    "Removed": records(
        named | {"timestamp_ns": integers, "reason": texts},
        operator_pubkey=st.none() | texts,
        filled_quantity=integers,
        confirmed_quantity=integers,
        filled_amount=integers,
        confirmed_amount=integers,
        book_quantity_decimals=st.integers(-20, 20),
        initial_receive_timestamp_ns=st.none() | integers,
    ),
    "Replaced": records(
        named | {"new_quantity": integers, "new_price": integers},
        timestamp_ns=st.none() | integers,
        authorization_revision=integers,
        operator_pubkey=st.none() | texts,
        initial_receive_timestamp_ns=st.none() | integers,
    ),
    "Amended": records(
        named | {"new_quantity": integers, "remaining_quantity": integers},
        authorization_revision=integers,
        book_quantity_decimals=st.integers(-20, 20),
        timestamp_ns=st.none() | integers,
        operator_pubkey=st.none() | texts,
    ),
    "Triggered": records(
        named | {"timestamp_ns": integers, "quantity": integers, "trigger_touched": flags},
        operator_pubkey=st.none() | texts,
    ),
    "CreateFailed": failed,
    "ReplaceFailed": failed,
    "AmendFailed": failed,
    "CancelFailed": failed,
}


@st.composite
def order_frames(draw: st.DrawFn) -> dict[str, Any]:
    variant = draw(st.sampled_from(list(ORDER_EVENTS)))
    fields = draw(ORDER_EVENTS[variant])
    return draw(st.sampled_from([{variant: fields}, {variant.upper(): fields}, {"type": variant.lower(), **fields}]))


@thorough
@given(order_frames())
def test_order_events(wire: dict[str, Any]) -> None:
    frame = write(wire)
    (ours,) = codec.decode_order_event_frame(frame)
    theirs: Any = their_order.parse_order_event(json.loads(frame))
    assert not isinstance(ours, UnknownOrderEvent)
    assert ours.event_type == theirs.event_type
    assert ours.order_id == theirs.order_id
    if isinstance(ours, OrderCreatedEvent):
        assert codec.signable(ours.user_order) == theirs.user_order.signable_part()
        ours = attrs.evolve(ours, user_order=theirs.user_order)
        assert ours.signature == tuple(theirs.signature)
        theirs.signature = tuple(theirs.signature)
    assert_same(ours, theirs, {})
