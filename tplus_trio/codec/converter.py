"""The shapes that are more than a record: enumerations whose variant is named by a key.

They come in two forms, ``{"Removed": {…}}`` and the older ``{"type": "removed", …}``, in which the names of
variants compare without case and underscores. They are sent in the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast, get_args, get_type_hints

import attrs
import msgspec
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from tplus_trio.codec.json_text import decode_hook, whole
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    DepositLanded,
    KlinesPage,
    LimitOrderDetails,
    MarginCallUpdated,
    MarketOrderDetails,
    MarketQuantity,
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
    OrderTrigger,
    OrderTriggeredEvent,
    OrderUpdatedEvent,
    PositionCleared,
    Side,
    SubAccountAssetTransferred,
    TimeInForce,
    TriggerAbove,
    TriggerBelow,
    TriggerCondition,
    UnknownOrderEvent,
    UserActivityEvent,
    UserOrders,
    WithdrawalCompleted,
)

__all__ = ["converter", "is_record"]


class _UnknownVariantError(ValueError):
    """A variant of an open enumeration that this version does not know."""


class _Variants(NamedTuple):
    """An enumeration of the wire."""

    union: Any
    classes: Mapping[str, type]
    #: Which class a value without a name is, by its fields.
    unnamed: Callable[[Mapping[str, Any]], type] | None = None


def _time_in_force(fields: Mapping[str, Any]) -> type:
    for key, cls in (("fill_or_kill", IOC), ("timestamp_ns", GTD), ("post_only", GTC)):
        if key in fields:
            return cls
    raise ValueError("expected one of GTC, GTD, IOC")


def _details(fields: Mapping[str, Any]) -> type:
    return LimitOrderDetails if "limit_price" in fields else MarketOrderDetails


#: What an order is made of.
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
        *(cls for enumeration in (*_TERMS, *_EVENTS) for cls in enumeration.classes.values()),
        MarketQuantity,
        OrderTrigger,
        UnknownOrderEvent,
        UserOrders,
    }
)


def _reachable(kind: Any) -> Iterator[Any]:
    """A type and every type within it."""
    yield kind
    for argument in get_args(kind):
        yield from _reachable(argument)
    if isinstance(kind, type) and attrs.has(kind):
        for hint in get_type_hints(kind).values():
            yield from _reachable(hint)


def is_record(kind: Any) -> bool:
    """Whether a type's JSON is simply its fields, all the way down, so that msgspec can do it alone."""
    return _SPECIAL.isdisjoint(part for part in _reachable(kind) if isinstance(part, type))


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _fields(value: object, of: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object with the fields of {of}, got {type(value).__name__}")
    return cast("Mapping[str, Any]", value)


def _split(value: object) -> tuple[str, Mapping[str, Any]] | None:
    """The name of a variant and its fields, or None where no variant is named."""
    fields = _fields(value, "a variant")
    if isinstance(fields.get("type"), str):
        return fields["type"], {key: field for key, field in fields.items() if key != "type"}
    if len(fields) == 1:
        ((name, inner),) = fields.items()
        if isinstance(inner, Mapping):
            return name, cast("Mapping[str, Any]", inner)
    return None


def _register(converter: Converter, enumeration: _Variants) -> None:
    """Teach the converter one enumeration: its unions, and each of its classes by itself."""
    readers: dict[str, Callable[[Any, Any], Any]] = {}
    by_class: dict[type, Callable[[Any, Any], Any]] = {}
    for name, cls in enumeration.classes.items():
        readers[_plain(name)] = by_class[cls] = make_dict_structure_fn(cls, converter)

    def any_of_them(value: Any, _: Any) -> Any:
        named = _split(value)
        if named and (reader := readers.get(_plain(named[0]))):
            return reader(named[1], None)
        if enumeration.unnamed and not named:
            return by_class[enumeration.unnamed(value)](value, None)
        msg = f"expected one of {', '.join(enumeration.classes)}"
        raise _UnknownVariantError(msg) if named else ValueError(msg)

    def any_event(value: Any, _: Any) -> Any:
        try:
            return any_of_them(value, None)
        except _UnknownVariantError:
            # The event's own kind, or the kind of one of its parts, such as a trigger's condition.
            return UnknownOrderEvent(*(_split(value) or ("", value)))

    converter.register_structure_hook(enumeration.union, any_event if enumeration.union == OrderEvent else any_of_them)
    converter.register_structure_hook(
        enumeration.union | None, lambda value, _: None if value is None else any_of_them(value, None)
    )
    for name, cls in enumeration.classes.items():
        _register_variant(converter, name, cls, by_class[cls])


def _register_variant(converter: Converter, name: str, cls: type, reader: Callable[[Any, Any], Any]) -> None:
    writer: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(cls, converter)

    def read(value: Any, _: Any) -> Any:
        named = _split(value)
        return reader(named[1] if named and _plain(named[0]) == _plain(name) else value, None)

    converter.register_structure_hook(cls, read)
    converter.register_unstructure_hook(cls, lambda value: {name: writer(value)})


def _leaf(kind: Any) -> Callable[[Any, Any], Any]:
    """Read a plain value as strictly as msgspec does in the feeds, numeric strings allowed."""

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


def _register_order(converter: Converter) -> None:
    trigger = make_dict_structure_fn(OrderTrigger, converter, trigger=override(rename="condition"))
    converter.register_structure_hook(OrderTrigger, trigger)
    converter.register_unstructure_hook(
        OrderTrigger, make_dict_unstructure_fn(OrderTrigger, converter, trigger=override(rename="condition"))
    )
    # A key may come as hex or as a list of bytes, which the model's own converter knows.
    converter.register_structure_hook(
        Order,
        make_dict_structure_fn(Order, converter, signer=override(struct_hook=lambda value, _: value)),
    )


# A book's levels can be written as they are: to take thousands of them apart first would be waste.


def _write_book(book: OrderBook) -> dict[str, Any]:
    return {"asks": book.asks, "bids": book.bids, "sequence_number": book.sequence_number}


def _write_diff(diff: OrderBookDiff) -> dict[str, Any]:
    """The diff without what only a stream knows of it."""
    return {"bids": diff.bids, "asks": diff.asks, "sequence_number": diff.sequence_number}


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=False)
    for kind in (int, bool, str, Decimal, AssetIdentifier):
        converter.register_structure_hook(kind, _leaf(kind))
    for open_enum in (Side, OperationStatus):
        converter.register_structure_hook(open_enum, lambda value, kind: kind.read(value))
    converter.register_structure_hook_func(lambda kind: kind == tuple[int, ...], _leaf(tuple[int, ...]))
    converter.register_unstructure_hook(AssetIdentifier, str)
    # From the inside out: a class is read as its parts were when it was registered.
    _register_quantity(converter)
    for enumeration in _TERMS:
        _register(converter, enumeration)
    _register_order(converter)
    for enumeration in _EVENTS:
        _register(converter, enumeration)
    converter.register_unstructure_hook(
        KlinesPage, make_dict_unstructure_fn(KlinesPage, converter, bad=override(omit=True))
    )
    converter.register_unstructure_hook(OrderBook, _write_book)
    converter.register_unstructure_hook(OrderBookDiff, _write_diff)
    converter.register_unstructure_hook(UnknownOrderEvent, lambda event: {event.variant: event.payload})
    converter.register_unstructure_hook(
        UserOrders,
        lambda page: {**page.page, "orders": [converter.unstructure(order) for order in page.orders]},
    )
    return converter


#: Between models and plain JSON objects, for whatever :func:`is_record` denies.
converter: Final = _make_converter()
