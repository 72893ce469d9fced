"""The same bytes, decoded here and by the official client, and the same requests, signed by both."""

from __future__ import annotations

import json
from decimal import Context, Decimal
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from tplus.model import (
    asset_identifier,
    cancel_order,
    klines,
    limit_order,
    market_order,
    order_trigger,
    orderbook,
    replace_order,
    trades,
)
from tplus.model import order as their_order
from tplus.utils.user import User as TheirUser

from tplus_trio import codec
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    Order,
    OrderCreatedEvent,
    OrderTrigger,
    ReplaceOrderDetails,
    ReplaceOrderRequestPayload,
    Side,
    TradeTarget,
    TriggerAbove,
    TriggerBelow,
    UnknownOrderEvent,
)
from tplus_trio.users import User

thorough = settings(max_examples=250, deadline=None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
order_ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
times = st.integers(0, 2**63 - 1)
flags = st.booleans()
statuses = st.sampled_from(["Pending", "Confirmed", "Rollbacked"])


class Number(str):
    """The text of a number, to be written into JSON without quotation marks."""

    __slots__ = ()


def write(value: Any) -> str:
    """JSON in which every :class:`Number` stands as it is spelled."""
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
    """Wire objects: the required keys, some of the others, and now and then one that nobody knows."""
    return st.builds(lambda a, b, c: a | b | c, st.fixed_dictionaries(required), optional(**others), extras)


def assert_same(ours: Any, theirs: Any, wire: dict[str, Any]) -> None:
    """Field by field; where the official client went through a float, so do we, afterwards."""
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
    """A candle of theirs, asked for its asset, which only ours know."""

    def __init__(self, bar: Any, asset: AssetIdentifier) -> None:
        self.bar, self.asset_id = bar, asset

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bar, name)


keys = st.binary(min_size=32, max_size=32).map(bytes.hex)
sizes = st.integers(0, 2**63 - 1)
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


# What is signed and sent.

their_terms = st.one_of(
    st.builds(lambda flag: (GTC(flag), limit_order.GTC(post_only=flag)), flags),
    st.builds(lambda flag, at: (GTD(flag, at), limit_order.GTD(post_only=flag, timestamp_ns=at)), flags, times),
    st.builds(lambda flag: (IOC(flag), limit_order.IOC(fill_or_kill=flag)), flags),
)
limit_details = st.builds(
    lambda price, quantity, terms: (
        LimitOrderDetails(price, quantity, terms[0]),
        limit_order.LimitOrderDetails(limit_price=price, quantity=quantity, time_in_force=terms[1]),
    ),
    sizes,
    sizes,
    their_terms,
)
market_details = st.builds(
    lambda base, quantity, cap, flag: (
        MarketOrderDetails(
            MarketQuantity(MarketBaseQuantity(quantity, cap))
            if base
            else MarketQuantity(quote_asset=MarketQuoteQuantity(quantity, cap)),
            flag,
        ),
        market_order.MarketOrderDetails(
            quantity=market_order.MarketQuantity(
                base_asset=market_order.MarketBaseQuantity(quantity=quantity, max_sellable_amount=cap)
            )
            if base
            else market_order.MarketQuantity(
                quote_asset=market_order.MarketQuoteQuantity(quantity=quantity, max_sellable_quantity=cap)
            ),
            fill_or_kill=flag,
        ),
    ),
    flags,
    sizes,
    st.none() | sizes,
    flags,
)
conditions = st.none() | st.builds(
    lambda above, price: (
        (TriggerAbove(price), order_trigger.TriggerAbove(price=price))
        if above
        else (TriggerBelow(price), order_trigger.TriggerBelow(price=price))
    ),
    flags,
    sizes,
)
asset_texts = st.integers(0, 10**9).map(str) | st.binary(min_size=20, max_size=20).map(
    lambda address: f"0x{address.hex()}@00000000000000a4b1"
)
seeds = st.binary(min_size=32, max_size=32)


def their_asset(text: str) -> Any:
    return asset_identifier.AssetIdentifier(text)


def order_fields(made: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in made.items() if key not in {"seed", "terms", "target", "condition", "parent"}}


@thorough
@given(
    st.fixed_dictionaries(
        {
            "seed": seeds,
            "order_id": order_ids,
            "base_asset": asset_texts,
            "book_price_decimals": st.integers(-20, 20),
            "book_quantity_decimals": st.integers(-20, 20),
            "terms": limit_details | market_details,
            "side": st.sampled_from(["Buy", "Sell"]),
            "condition": conditions,
            "parent": st.none() | order_ids,
            "creation_timestamp_ns": times,
            "target": st.tuples(st.integers(0, 9), flags),
            "reduce_only": flags,
            "max_trading_fees_rate": st.integers(0, 10**6),
        }
    ),
    times,
)
def test_creating_an_order(made: dict[str, Any], signed_at: int) -> None:
    user, their_user = User(made["seed"]), TheirUser(made["seed"])
    fields = order_fields(made)
    condition = made["condition"]
    account, is_spot = made["target"]
    ours = Order(
        **fields | {"side": Side(made["side"]), "base_asset": AssetIdentifier(made["base_asset"])},
        signer=user.public_key,
        details=made["terms"][0],
        trigger=condition and OrderTrigger(made["parent"], condition[0]),
        target=TradeTarget(account, is_spot),
    )
    theirs = their_order.Order(
        **fields | {"base_asset": their_asset(made["base_asset"])},
        signer=their_user.public_key,
        details=made["terms"][1],
        trigger=condition and order_trigger.OrderTrigger(parent_order_id=made["parent"], trigger=condition[1]),
        target=their_order.TradeTarget(account=account, is_spot=is_spot),
    )
    assert codec.signable(ours) == theirs.signable_part()
    signature = user.sign(codec.signable(ours))
    their_signature, cosigners = their_user.signing_parts(theirs.signable_part())
    assert list(signature) == their_signature
    request = their_order.CreateOrderRequest(
        order=theirs, signature=their_signature, post_sign_timestamp=signed_at, additional_signers=cosigners
    )
    assert codec.encode(CreateOrderRequest(ours, signature, signed_at)).decode() == request.model_dump_json()
    assert codec.decode(request.model_dump_json(), CreateOrderRequest).order == ours


@thorough
@given(seeds, order_ids, asset_texts, times)
def test_cancelling_an_order(seed: bytes, order_id: str, asset: str, signed_at: int) -> None:
    user, their_user = User(seed), TheirUser(seed)
    ours = CancelOrder(order_id, AssetIdentifier(asset), user.public_key)
    theirs = cancel_order.CancelOrder(order_id=order_id, asset_id=their_asset(asset), signer=their_user.public_key)
    assert codec.signable(ours) == theirs.model_dump_json()
    signature = user.sign(codec.signable(ours))
    their_signature, _ = their_user.signing_parts(theirs.model_dump_json())
    assert list(signature) == their_signature
    request = cancel_order.CancelOrderRequest(cancel=theirs, signature=their_signature, post_sign_timestamp=signed_at)
    assert codec.encode(CancelOrderRequest(ours, signature, signed_at)).decode() == request.model_dump_json()


@thorough
@given(
    seeds, order_ids, asset_texts, times, sizes, sizes, conditions, st.integers(-20, 20), st.integers(-20, 20), times
)
def test_replacing_an_order(
    seed: bytes,
    order_id: str,
    asset: str,
    at: int,
    price: int,
    quantity: int,
    condition: tuple[Any, Any] | None,
    quantity_decimals: int,
    price_decimals: int,
    signed_at: int,
) -> None:
    user = User(seed)
    fields: dict[str, Any] = {
        "order_id": order_id,
        "timestamp_ns": at,
        "new_price_limit": price,
        "new_quantity": quantity,
        "book_quantity_decimals": quantity_decimals,
        "book_price_decimals": price_decimals,
    }
    ours = ReplaceOrderDetails(
        **fields, base_asset=AssetIdentifier(asset), new_trigger=condition[0] if condition else None
    )
    theirs = replace_order.ReplaceOrderDetails(
        **fields, base_asset=their_asset(asset), new_trigger=condition[1] if condition else None
    )
    # In a replacement, and there alone, the official client writes every condition as PriceAbove.
    expected = theirs.model_dump_json()
    if isinstance(ours.new_trigger, TriggerBelow):
        expected = expected.replace('{"PriceAbove":', '{"PriceBelow":')
    assert codec.signable(ours) == expected
    signature = user.sign(codec.signable(ours))
    request = replace_order.ReplaceOrderRequestPayload(
        request=theirs, user_id=user.public_key, signature=list(signature), post_sign_timestamp=signed_at
    )
    payload = ReplaceOrderRequestPayload(ours, user.public_key, signature, signed_at)
    body, their_body = json.loads(codec.encode(payload)), json.loads(request.model_dump_json())
    assert body["request"] == json.loads(expected)
    assert list(body) == list(their_body)
    assert body | {"request": None} == their_body | {"request": None}
