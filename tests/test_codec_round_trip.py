from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import NoneType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tplus_trio import codec, models
from tplus_trio.models import (
    AssetIdentifier,
    KlineUpdate,
    MarketBaseQuantity,
    MarketQuantity,
    MarketQuoteQuantity,
    PriceLevel,
    Timebar,
    Trade,
    UnknownOrderEvent,
    UserOrders,
    UserTrade,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ints = st.integers(0, 2**64)
amounts = st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**40, places=None)
signed = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40)
assets = st.one_of(
    st.integers(0, 10**9), st.binary(min_size=1, max_size=32).map(lambda b: f"{b.hex()}@00000000000000a4b1")
).map(AssetIdentifier)
keys = st.binary(min_size=32, max_size=32).map(bytes.hex)
order_ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
signatures = st.binary(max_size=64)
plain_json = st.recursive(
    st.none() | st.booleans() | ints | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=5,
)

st.register_type_strategy(AssetIdentifier, assets)


def _sane(number: Decimal) -> bool:
    return number == 0 or (abs(number.adjusted()) <= 99 and len(number.as_tuple().digits) <= 100)


def _few(cls: type) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.deferred(lambda: st.from_type(cls)), max_size=2)


_UNSIGNED = {Trade, UserTrade, Timebar, KlineUpdate, models.BookLevel, models.Ticker}
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: ints,
    Any: plain_json,
    tuple[int, ...]: signatures,
    tuple[Any, ...]: st.lists(plain_json, max_size=2),
    Mapping[str, Any]: st.dictionaries(texts, plain_json, max_size=3),
    tuple[models.OrderResponse, ...]: _few(models.OrderResponse),
    tuple[models.Position, ...]: _few(models.Position),
    tuple[Timebar, ...]: _few(Timebar),
    tuple[PriceLevel, ...]: st.lists(st.tuples(amounts.filter(_sane), amounts.filter(_sane)), max_size=4),
}
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "order_id": order_ids,
    "signer": keys,
    "variant": st.just("Frobnicated"),
    "trading_fee": signed.filter(_sane),
    "sequence_number": st.integers(0, 2**64 - 1),
}


def _fields(cls: type) -> dict[str, st.SearchStrategy[Any]]:
    """A strategy for each of a model's fields, by its name or its type."""
    by_name = _BY_NAME | ({"user_id": keys} if cls is models.AmendOrderRequest else {})
    by_type = _BY_TYPE | {Decimal: (amounts if cls in _UNSIGNED else signed).filter(_sane)}
    found: dict[str, st.SearchStrategy[Any]] = {}
    for name, hint in get_type_hints(cls).items():
        if get_origin(hint) is ClassVar:
            continue
        inner, *others = (
            [part for part in get_args(hint) if part is not NoneType] if NoneType in get_args(hint) else [hint]
        )
        strategy = by_name.get(name, by_type.get(inner))
        if others or strategy is None:
            strategy = st.from_type(hint)
        found[name] = st.none() | strategy if NoneType in get_args(hint) else strategy
    return found


_MODELS = [
    cls
    for name in models.__all__
    if isinstance(cls := getattr(models, name), type)
    and attrs.has(cls)
    and cls not in {MarketQuantity, models.LinkedDiff}
]


def _register(cls: type) -> None:
    st.register_type_strategy(cls, lambda _: st.builds(cls, **_fields(cls)))


for _cls in _MODELS:
    _register(_cls)
st.register_type_strategy(
    MarketQuantity,
    st.builds(MarketQuantity, base_asset=st.from_type(MarketBaseQuantity))
    | st.builds(MarketQuantity, quote_asset=st.from_type(MarketQuoteQuantity)),
)


@pytest.mark.parametrize("cls", [*_MODELS, MarketQuantity], ids=lambda cls: cls.__name__)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_what_is_encoded_decodes_to_the_same(cls: type[Any], data: st.DataObject) -> None:
    model = data.draw(st.from_type(cls))
    for style in ("string", "number"):
        text = codec.encode(model, decimals=style)
        again = codec.decode(text, cls) if cls is not UnknownOrderEvent else codec.decode_order_event_frame(text)[0]
        assert again == model
        assert codec.encode(again, decimals=style) == text
    assert codec.signable(model).encode() == codec.encode(model)


@given(st.lists(st.from_type(models.OrderResponse), max_size=2), st.dictionaries(texts, plain_json, max_size=3))
@settings(max_examples=15, deadline=None)
def test_pages_of_orders_too(orders: list[models.OrderResponse], page: dict[str, Any]) -> None:
    page.pop("orders", None)
    user_orders = UserOrders(tuple(orders), page)
    assert codec.decode(codec.encode(user_orders), UserOrders) == user_orders


def test_decimals_are_written_with_all_their_digits() -> None:
    level = models.BookLevel(Decimal("0.1000000000000000055511151231257827"), Decimal("1E+5"))
    assert codec.encode(level) == b'{"price":"0.1000000000000000055511151231257827","size":"1E+5"}'
    assert codec.encode(level, decimals="number") == b'{"price":0.1000000000000000055511151231257827,"size":1E+5}'
