"""The cattrs converter, for models whose JSON is not simply their fields: tagged unions, and renamed or older forms.

A tagged union names its variant by a key. It comes in two forms, ``{"Removed": {…}}`` and the older
``{"type": "removed", …}``. Names of variants compare without case and underscores. Encoding uses the first form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from types import NoneType
from typing import Any, Final, NamedTuple, cast, get_args, get_type_hints

import attrs
import msgspec
from cattrs import Converter
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from tplus_trio.codec.json_text import decode_hook, whole
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AccountKind,
    AssetIdentifier,
    DepositLanded,
    KlinesPage,
    LimitOrderDetails,
    Margin,
    MarginCallUpdated,
    MarginPosition,
    MarginSide,
    MarketFeeSchedule,
    MarketOrderDetails,
    MarketQuantity,
    MarketsPage,
    OperationStatus,
    Order,
    OrderAmendedEvent,
    OrderAmendFailedEvent,
    OrderBook,
    OrderBookDiff,
    OrderCancelFailedEvent,
    OrderCancelledEvent,
    OrderCreatedEvent,
    OrderCreateFailedEvent,
    OrderDetails,
    OrderEvent,
    OrderRemovedEvent,
    OrderReplacedEvent,
    OrderReplaceFailedEvent,
    OrderStatus,
    OrderTrigger,
    OrderTriggeredEvent,
    OrderUpdatedEvent,
    PositionCleared,
    Side,
    SignerKey,
    Spot,
    SubAccountAssetTransferred,
    TimeInForce,
    TriggerAbove,
    TriggerBelow,
    TriggerCondition,
    UnknownOrderEvent,
    UserAccount,
    UserActivityEvent,
    UserOrders,
    UserOrdersPage,
    UserPositionsPage,
    UserTradesPage,
    WithdrawalCompleted,
)

__all__ = ["converter", "is_record", "variants_of"]


class _UnknownVariantError(ValueError):
    """The name of a variant that this version does not know."""


class _Variants(NamedTuple):
    """A tagged union: its type, and the name of each variant in the protocol."""

    union: Any
    classes: Mapping[str, type]
    #: Returns the class of a value that names no variant, by its fields; None if a name is required.
    unnamed: Callable[[Mapping[str, Any]], type] | None = None


def _time_in_force(fields: Mapping[str, Any]) -> type:
    for key, cls in (("fill_or_kill", IOC), ("timestamp_ns", GTD), ("post_only", GTC)):
        if key in fields:
            return cls
    raise ValueError("expected one of GTC, GTD, IOC")


def _details(fields: Mapping[str, Any]) -> type:
    return LimitOrderDetails if "limit_price" in fields else MarketOrderDetails


#: The unions within an order.
_TERMS: Final = (
    _Variants(TimeInForce, {"GTC": GTC, "GTD": GTD, "IOC": IOC}, _time_in_force),
    _Variants(
        OrderDetails,
        {"Limit": LimitOrderDetails, "Market": MarketOrderDetails},
        _details,
    ),
    _Variants(
        TriggerCondition,
        {"PriceAbove": TriggerAbove, "PriceBelow": TriggerBelow},
    ),
)
_EVENTS: Final = (
    _Variants(
        UserActivityEvent,
        {
            "DepositLanded": DepositLanded,
            "WithdrawalCompleted": WithdrawalCompleted,
            "PositionCleared": PositionCleared,
            "SubAccountAssetTransferred": SubAccountAssetTransferred,
            "MarginCallUpdated": MarginCallUpdated,
        },
    ),
    _Variants(
        OrderEvent,
        {
            "Created": OrderCreatedEvent,
            "Updated": OrderUpdatedEvent,
            "Canceled": OrderCancelledEvent,
            "Removed": OrderRemovedEvent,
            "Replaced": OrderReplacedEvent,
            "Amended": OrderAmendedEvent,
            "Triggered": OrderTriggeredEvent,
            "CreateFailed": OrderCreateFailedEvent,
            "ReplaceFailed": OrderReplaceFailedEvent,
            "AmendFailed": OrderAmendFailedEvent,
            "CancelFailed": OrderCancelFailedEvent,
        },
    ),
)

#: The classes whose JSON is not simply their fields.
_SPECIAL: Final = frozenset(
    {
        *(cls for variants in (*_TERMS, *_EVENTS) for cls in variants.classes.values()),
        MarketFeeSchedule,
        MarketQuantity,
        OrderTrigger,
        SignerKey,
        UnknownOrderEvent,
        UserAccount,
        UserOrders,
    }
)


def variants_of(union: Any) -> Mapping[str, type]:
    """Return the classes of a tagged union by the names of its variants in the protocol."""
    return next(variants.classes for variants in (*_TERMS, *_EVENTS) if variants.union == union)


def _reachable(kind: Any) -> Iterator[Any]:
    """Yield a type and every type within it."""
    yield kind
    for argument in get_args(kind):
        yield from _reachable(argument)
    if isinstance(kind, type) and attrs.has(kind):
        for hint in get_type_hints(kind).values():
            yield from _reachable(hint)


def is_record(kind: Any) -> bool:
    """Return whether a type's JSON is simply its fields at every depth, so that msgspec alone can decode it."""
    return _SPECIAL.isdisjoint(part for part in _reachable(kind) if isinstance(part, type))


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _fields(value: object, of: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object with the fields of {of}, got {type(value).__name__}")
    return cast("Mapping[str, Any]", value)


def _split(value: object) -> tuple[str, Mapping[str, Any]] | None:
    """Return the name of a variant and its fields, or None if the value names no variant."""
    fields = _fields(value, "a variant")
    if isinstance(fields.get("type"), str):
        return fields["type"], {key: field for key, field in fields.items() if key != "type"}
    if len(fields) == 1:
        ((name, inner),) = fields.items()
        if isinstance(inner, Mapping):
            return name, cast("Mapping[str, Any]", inner)
    return None


def _register(converter: Converter, variants: _Variants) -> None:
    """Register the hooks of a tagged union, of the union with None, and of each of its classes."""
    readers: dict[str, Callable[[Any, Any], Any]] = {}
    by_class: dict[type, Callable[[Any, Any], Any]] = {}
    for name, cls in variants.classes.items():
        readers[_plain(name)] = by_class[cls] = make_dict_structure_fn(cls, converter)

    def read_union(value: Any, _: Any) -> Any:
        named = _split(value)
        if named and (reader := readers.get(_plain(named[0]))):
            return reader(named[1], None)
        if variants.unnamed and not named:
            return by_class[variants.unnamed(value)](value, None)
        msg = f"expected one of {', '.join(variants.classes)}"
        raise _UnknownVariantError(msg) if named else ValueError(msg)

    def read_event_union(value: Any, _: Any) -> Any:
        try:
            return read_union(value, None)
        except _UnknownVariantError:
            # The unknown variant is the event or one of its parts, such as a trigger's condition.
            return UnknownOrderEvent(*(_split(value) or ("", value)))

    converter.register_structure_hook(variants.union, read_event_union if variants.union == OrderEvent else read_union)
    converter.register_structure_hook(
        variants.union | None, lambda value, _: None if value is None else read_union(value, None)
    )
    for name, cls in variants.classes.items():
        _register_variant(converter, name, cls, by_class[cls])


def _register_variant(converter: Converter, name: str, cls: type, reader: Callable[[Any, Any], Any]) -> None:
    writer: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(cls, converter)

    def read(value: Any, _: Any) -> Any:
        named = _split(value)
        return reader(named[1] if named and _plain(named[0]) == _plain(name) else value, None)

    converter.register_structure_hook(cls, read)
    converter.register_unstructure_hook(cls, lambda value: {name: writer(value)})


def _leaf(kind: Any) -> Callable[[Any, Any], Any]:
    """Return a reader of plain values that is as strict as msgspec in the feeds, numeric strings allowed."""

    def read(value: Any, _: Any) -> object:
        return whole(value) if kind is int else msgspec.convert(value, kind, strict=False, dec_hook=decode_hook)

    return read


def _register_quantity(converter: Converter) -> None:
    size = make_dict_structure_fn(
        MarketQuantity,
        converter,
        base_asset=override(rename="BaseAsset"),
        quote_asset=override(rename="QuoteAsset"),
    )
    old_size = make_dict_structure_fn(MarketQuantity, converter)
    write_size = make_dict_unstructure_fn(
        MarketQuantity,
        converter,
        base_asset=override(rename="BaseAsset", omit_if_default=True),
        quote_asset=override(rename="QuoteAsset", omit_if_default=True),
    )
    converter.register_structure_hook(
        MarketQuantity,
        lambda value, _: (old_size if {"base_asset", "quote_asset"} & value.keys() else size)(value, None),
    )
    converter.register_unstructure_hook(MarketQuantity, write_size)


def _read_signer_key(value: Any, _: Any) -> SignerKey:
    ((variant, key),) = _fields(value, "a signer's key").items()
    return SignerKey(variant, key)


def _register_renamed(converter: Converter) -> None:
    trigger = make_dict_structure_fn(OrderTrigger, converter, trigger=override(rename="condition"))
    converter.register_structure_hook(OrderTrigger, trigger)
    converter.register_unstructure_hook(
        OrderTrigger, make_dict_unstructure_fn(OrderTrigger, converter, trigger=override(rename="condition"))
    )
    converter.register_structure_hook(
        MarketFeeSchedule, make_dict_structure_fn(MarketFeeSchedule, converter, global_=override(rename="global"))
    )
    converter.register_unstructure_hook(
        MarketFeeSchedule, make_dict_unstructure_fn(MarketFeeSchedule, converter, global_=override(rename="global"))
    )
    converter.register_structure_hook(SignerKey, _read_signer_key)
    converter.register_unstructure_hook(SignerKey, lambda key: {key.variant: key.key_bytes})
    # A public key may be hex or a list of bytes; the model's own converter reads both.
    converter.register_structure_hook(
        Order,
        make_dict_structure_fn(Order, converter, signer=override(struct_hook=lambda value, _: value)),
    )


def _register_inventory(converter: Converter) -> None:
    # A sub-account's balances and positions stand in its JSON without the objects that hold them here.
    balances: Any = Mapping[AssetIdentifier, Decimal]
    positions: Any = Mapping[AssetIdentifier, MarginPosition]

    def read(value: Any, _: Any) -> UserAccount:
        fields = _fields(value, "a sub-account")
        return UserAccount(
            AccountKind.read(fields["kind"]),
            Spot(converter.structure(_fields(fields.get("spot", {}), "spot balances"), balances)),
            Margin(converter.structure(_fields(fields.get("margins", {}), "margin positions"), positions)),
        )

    def write(account: UserAccount) -> dict[str, Any]:
        return {
            "kind": account.kind.value,
            "spot": converter.unstructure(account.spot.spot_account_balance),
            "margins": converter.unstructure(account.margin.margins),
        }

    converter.register_structure_hook(UserAccount, read)
    converter.register_unstructure_hook(UserAccount, write)


# msgspec encodes levels directly. Unstructuring thousands of them first would only cost time.


def _shallow_writer(converter: Converter, cls: type[attrs.AttrsInstance]) -> Callable[[Any], dict[str, Any]]:
    as_they_are: Any = {field.name: override(unstruct_hook=identity) for field in attrs.fields(cls)}
    return make_dict_unstructure_fn(cls, converter, **as_they_are)


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=False)
    for kind in (int, bool, str, Decimal, AssetIdentifier, NoneType):
        converter.register_structure_hook(kind, _leaf(kind))
    for open_enum in (AccountKind, MarginSide, OperationStatus, OrderStatus, Side):
        converter.register_structure_hook(open_enum, lambda value, kind: kind.read(value))
    converter.register_structure_hook_func(lambda kind: kind == tuple[int, ...], _leaf(tuple[int, ...]))
    converter.register_unstructure_hook(AssetIdentifier, str)
    # The order matters: a class uses the hooks that its parts have when it is registered.
    _register_quantity(converter)
    for variants in _TERMS:
        _register(converter, variants)
    _register_renamed(converter)
    for variants in _EVENTS:
        _register(converter, variants)
    for page in (KlinesPage, MarketsPage, UserOrdersPage, UserPositionsPage, UserTradesPage):
        converter.register_unstructure_hook(page, make_dict_unstructure_fn(page, converter, bad=override(omit=True)))
    _register_inventory(converter)
    converter.register_unstructure_hook(OrderBook, _shallow_writer(converter, OrderBook))
    # This also writes a `LinkedDiff`, without its extra field, which the protocol does not have.
    converter.register_unstructure_hook(OrderBookDiff, _shallow_writer(converter, OrderBookDiff))
    converter.register_unstructure_hook(UnknownOrderEvent, lambda event: {event.variant: event.payload})
    converter.register_unstructure_hook(
        UserOrders,
        lambda page: {**page.page, "orders": [converter.unstructure(order) for order in page.orders]},
    )
    return converter


#: Converts between models and plain JSON objects, for the types for which :func:`is_record` is False.
converter: Final = _make_converter()
