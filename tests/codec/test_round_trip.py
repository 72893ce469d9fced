from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from decimal import Decimal
from itertools import permutations
from types import NoneType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.wire_texts import BAR
from tplus_trio import codec, models
from tplus_trio.codec.batch_decoders import _BAR_KEYS
from tplus_trio.codec.converter import variants_of
from tplus_trio.codec.fast_order_events import _completer, _shape, read_event
from tplus_trio.errors import DecodeError
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
from tplus_trio.models.numbers import signed_number, unsigned_number

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


_UNSIGNED = {Trade, UserTrade, Timebar, KlineUpdate, models.BookLevel, models.Ticker, models.HistoricalUserTrade}
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: ints,
    Any: plain_json,
    tuple[int, ...]: signatures,
    tuple[Any, ...]: st.lists(plain_json, max_size=2),
    Mapping[str, Any]: st.dictionaries(texts, plain_json, max_size=3),
    tuple[models.OrderResponse, ...]: _few(models.OrderResponse),
    tuple[models.Position, ...]: _few(models.Position),
    tuple[Mapping[str, Any], ...]: st.lists(st.dictionaries(texts, plain_json, max_size=3), max_size=2),
    Mapping[AssetIdentifier, Decimal]: st.dictionaries(assets, signed.filter(_sane), max_size=2),
    None: st.none(),
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


_OF_CLASS: dict[type, dict[str, st.SearchStrategy[Any]]] = {
    models.AmendOrderRequest: {"user_id": keys},
    models.ClosePosition: {"user": keys},
    models.SubAccountTransfer: {"user": keys},
    models.AdditionalSigner: {"signer": st.builds(models.SignerKey.ed25519, signatures)},
    models.SignerKey: {"variant": st.sampled_from(["Ed25519", "Secp256k1", "P256"])},
}


def _fields(cls: type) -> dict[str, st.SearchStrategy[Any]]:
    """Return a strategy for each field of a model, chosen by the field's name or type."""
    by_name = _BY_NAME | _OF_CLASS.get(cls, {})
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
    for name in models.__all__  # type: ignore[attr-defined]  # it is made at run time
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


_ALL = [*_MODELS, MarketQuantity, models.LinkedDiff]
_register(models.LinkedDiff)


@pytest.mark.parametrize("cls", _ALL, ids=lambda cls: cls.__name__)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_model_can_be_copied_kept_and_shown(cls: type[Any], data: st.DataObject) -> None:
    model = data.draw(st.from_type(cls))
    for again in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)), attrs.evolve(model)):
        assert type(again) is cls
        assert again == model
    row = attrs.asdict(model)
    assert list(row) == [field.name for field in attrs.fields(cls)]
    assert len(attrs.astuple(model)) == len(row)
    for plain in (codec.unstructure(model), codec.unstructure([model])[0]):
        assert json.loads(json.dumps(plain)) == plain
    if "hashable" not in (cls.__doc__ or ""):
        assert hash(model) == hash(copy.deepcopy(model))


def test_models_that_are_no_classes_of_attrs_can_be_copied_and_kept() -> None:
    level = PriceLevel(Decimal("7.3E-7"), Decimal(2))
    for again in (copy.copy(level), copy.deepcopy(level), pickle.loads(pickle.dumps(level)), PriceLevel(level)):
        assert type(again) is PriceLevel
        assert again == level
    assert codec.unstructure(level) == ["0.00000073", "2"]
    assert attrs.asdict(models.OrderBook(asks=[level]))["asks"] == (level,)
    for wrong in ((), (1,), (1, 2, 3)):
        with pytest.raises(TypeError, match="a level is a price and a quantity"):
            PriceLevel(wrong)


# Numbers.


def _number_fields() -> list[tuple[type[Any], str, bool]]:
    """Return every Decimal field of every model, and whether it may be negative."""
    found = []
    for cls in _MODELS:
        for name, hint in get_type_hints(cls).items():
            if hint in (Decimal, Decimal | None):
                found.append((cls, name, cls not in _UNSIGNED or name in _SIGNED))
    return found


_SIGNED = {"trading_fee", "price_change_24h", "price_change_pct_24h"}


@pytest.mark.parametrize(("cls", "name", "may_be_negative"), _number_fields(), ids=str)
@given(data=st.data())
@settings(max_examples=1, deadline=None)
def test_no_model_takes_what_is_no_number(
    cls: type[Any], name: str, may_be_negative: bool, data: st.DataObject
) -> None:
    """The constructor, the decoding of an answer and that of a list refuse it."""
    model = data.draw(st.from_type(cls))
    plain = codec.unstructure(model)
    fields = plain if name in plain else next(iter(plain.values()))
    for number in ("NaN", "Infinity", "-Infinity", "sNaN", "1e999", "-5"):
        fields[name] = number
        if may_be_negative and number == "-5":
            assert getattr(attrs.evolve(model, **{name: Decimal(number)}), name) == -5
            assert getattr(codec.decode(json.dumps(plain), cls), name) == -5
            continue
        with pytest.raises(ValueError, match=name):
            attrs.evolve(model, **{name: Decimal(number)})
        with pytest.raises(DecodeError):
            codec.decode(json.dumps(plain), cls)
        assert len(codec.decode_rows(json.dumps([plain]), cls).bad) == 1


@pytest.mark.parametrize("number", ["NaN", "Infinity", "sNaN", "1e999"])
def test_balances_are_finite_numbers(number: str) -> None:
    with pytest.raises(ValueError, match="spot_account_balance"):
        models.Spot({AssetIdentifier(200): Decimal(number)})
    account = f'{{"kind":"spot","spot":{{"200":"{number}"}},"margins":{{}}}}'
    with pytest.raises(DecodeError, match="spot_account_balance"):
        codec.decode(account, models.UserAccount)


def test_a_new_field_needs_no_list() -> None:
    """A model whose fields copy the lines of another model's fields is checked without another change."""

    @attrs.frozen
    class Fill:
        price: Decimal = attrs.field(converter=unsigned_number)
        fee: Decimal = attrs.field(converter=signed_number)

    @attrs.frozen
    class Fills:
        fills: tuple[Fill, ...]

    globals().update(Fill=Fill, Fills=Fills)
    assert codec.decode('{"fills":[{"price":"1","fee":"-1"}]}', Fills).fills[0].fee == -1
    for bad in ('{"price":"NaN","fee":0}', '{"price":-5,"fee":0}', '{"price":1,"fee":"-Infinity"}'):
        with pytest.raises(DecodeError):
            codec.decode(f'{{"fills":[{bad}]}}', Fills)
        assert len(codec.decode_rows(f"[{bad}]", Fill).bad) == 1


# The fast reader of order events.


@pytest.mark.parametrize("cls", [cls for cls in _MODELS if hasattr(cls, "event_type") and cls is not UnknownOrderEvent])
@given(data=st.data(), terms=st.sampled_from(get_args(models.TimeInForce)).flatmap(st.from_type))
@settings(max_examples=30, deadline=None)
def test_order_events_of_the_usual_form_are_read_quickly(
    cls: type[Any], data: st.DataObject, terms: models.TimeInForce
) -> None:
    """The test uses all fields of the models, then leaves out one field at a time."""
    event = data.draw(st.from_type(cls))
    if cls is models.OrderCreatedEvent:
        details = attrs.evolve(data.draw(st.from_type(models.LimitOrderDetails)), time_in_force=terms)
        event = attrs.evolve(event, user_order=attrs.evolve(event.user_order, details=details, trigger=None))
    frame = json.dumps(codec.unstructure(event), separators=(",", ":")).encode()
    assert read_event(frame) == event
    (variant, fields), *_ = codec.unstructure(event).items()
    for name in list(fields):
        fewer = {key: value for key, value in fields.items() if key != name}
        frame = json.dumps({variant: fewer}, separators=(",", ":")).encode()
        try:
            (expected,) = codec.decode_order_event_frame(frame.decode())
        except DecodeError:
            expected = None
        assert read_event(frame) == expected


def test_a_field_that_only_the_model_checks_is_not_forgotten() -> None:
    @attrs.frozen
    class Odd:
        even: int = attrs.field(validator=attrs.validators.in_([2, 4]))

    with pytest.raises(TypeError, match=r"Odd\.even is checked by the model alone"):
        _shape(Odd)


def test_a_model_that_the_fast_reader_cannot_make_is_refused_at_import() -> None:
    """Otherwise the general reader would silently decode each event of it."""

    @attrs.frozen
    class Referable:
        order_id: str

    with pytest.raises(TypeError, match="Referable needs weakref_slot=False"):
        _completer(Referable)


@pytest.mark.parametrize("terms", get_args(models.TimeInForce))
def test_every_time_in_force_is_read_quickly(terms: type[Any]) -> None:
    assert terms in variants_of(models.TimeInForce).values()
    flags = {name: True if hint is bool else 7 for name, hint in get_type_hints(terms).items()}
    details = models.LimitOrderDetails(5, 6, terms(**flags))
    order = models.Order(
        signer="ab" * 32,
        order_id="o",
        base_asset=AssetIdentifier(200),
        book_price_decimals=2,
        book_quantity_decimals=3,
        details=details,
        side=models.Side.BUY,
        creation_timestamp_ns=1,
    )
    event = models.OrderCreatedEvent(order, (1,) * 64, 5)
    frame = json.dumps(codec.unstructure(event), separators=(",", ":")).encode()
    assert read_event(frame) == event


def test_every_event_has_a_fast_reader() -> None:
    classes = {*variants_of(models.OrderEvent).values(), UnknownOrderEvent}
    assert classes == set(get_args(models.OrderEvent)) == {cls for cls in _MODELS if hasattr(cls, "event_type")}


# Keys that decoders compare as bytes.


def test_the_keys_of_candles_are_those_of_the_model() -> None:
    keys = list(json.loads(BAR))
    assert sorted(keys) == sorted(field.name for field in attrs.fields(Timebar))
    assert "".join(keys).encode() == _BAR_KEYS


@pytest.mark.parametrize(
    "names", list(permutations(field.name for field in attrs.fields(models.OrderBookDiff))), ids=str
)
def test_diffs_with_their_keys_in_any_order_are_decoded_in_batches(names: tuple[str, ...]) -> None:
    diff = models.OrderBookDiff(bids=[("1.5", 2)], asks=[("2.5", 1)], sequence_number=7)
    fields = json.loads(codec.encode(diff))
    frame = json.dumps({name: fields[name] for name in names}, separators=(",", ":")).encode()
    assert list(codec.decode_depth_batch([frame, frame]) or ()) == [diff, diff]
    assert codec.decode(codec.encode(models.LinkedDiff(diff.bids, diff.asks, 7, 5)), models.OrderBookDiff) == diff
