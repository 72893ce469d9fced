"""The fast reader of order events in their usual form. The general reader, `converter`, reads every legal form.

`read_event` returns None for an event of any other form, and the caller uses the general reader, which also explains
errors. Field names, types, defaults and positions come from the models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final, TypeAlias, TypeVar, cast, get_type_hints

import attrs
import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

from tplus_trio.codec.json_text import MALFORMED, check_nesting, exact, quick_hook
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    LimitOrderDetails,
    Order,
    OrderAmendedEvent,
    OrderAmendFailedEvent,
    OrderCancelFailedEvent,
    OrderCancelledEvent,
    OrderCreatedEvent,
    OrderCreateFailedEvent,
    OrderEvent,
    OrderRemovedEvent,
    OrderReplacedEvent,
    OrderReplaceFailedEvent,
    OrderTriggeredEvent,
    OrderUpdatedEvent,
    Side,
    TimeInForce,
    TradeTarget,
    validate_order_id,
)
from tplus_trio.models.order import public_key, units

__all__ = ["read_event"]

T = TypeVar("T", bound=attrs.AttrsInstance)

_Byte: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Units: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
#: How deeply a field of arbitrary JSON may be nested here. The general reader takes deeper ones, up to its own limit.
_NESTING: Final = 50

# The usual form: events as the service spells them today, a new order as a limit order without a trigger. The types of
# these structs refuse all that the models refuse, apart from what the functions below check. The models' constructors
# therefore need not run. An unknown key makes a struct refuse the event, because its value would not be checked.


class _Shape(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    pass


class _GTC(_Shape):
    post_only: bool = False


class _GTD(_Shape):
    post_only: bool
    timestamp_ns: int


class _IOC(_Shape):
    fill_or_kill: bool = False


class _TimeInForce(_Shape):
    GTC: _GTC | UnsetType = UNSET
    GTD: _GTD | UnsetType = UNSET
    IOC: _IOC | UnsetType = UNSET


class _Limit(_Shape):
    limit_price: _Units
    quantity: _Units
    time_in_force: _TimeInForce


class _Details(_Shape):
    Limit: _Limit


class _Target(_Shape):
    account: _Units
    is_spot: bool


def _covered(field: attrs.Attribute[Any]) -> bool:
    """Return whether a struct, by the type of a field, checks all that the model checks."""
    converter = cast("Any", field).converter
    return field.validator in (None, units) and (converter is None or converter is AssetIdentifier)


def _shape(cls: type[attrs.AttrsInstance], **types: Any) -> type[msgspec.Struct]:
    """Return a struct with the fields of a model whose JSON is its fields.

    Args:
        cls: The model.
        types: Other types for some fields, which the caller checks itself.

    Raises:
        TypeError: The model checks a field, not named in ``types``, in a way that no struct does. The fast reader would
            skip that check.
    """
    hints = (
        get_type_hints(cls) | {field.name: _Units for field in attrs.fields(cls) if field.validator is units} | types
    )
    fields: list[Any] = []
    for field in attrs.fields(cls):
        if field.name not in types and not _covered(field):
            raise TypeError(f"{cls.__name__}.{field.name} is checked by the model alone: name its type, and check it")
        # A field with a default factory is required here: the general reader takes an event without it.
        is_plain = field.default is None or isinstance(field.default, int | str)
        fields.append((field.name, hints[field.name], *([field.default] if is_plain else [])))
    return msgspec.defstruct(f"_{cls.__name__}", fields, bases=(_Shape,), kw_only=True)


_OrderShape: Final[Any] = _shape(
    Order,
    signer=str,
    order_id=str,
    side=Side,
    details=_Details,
    target=_Target,
    trigger=None,
)
_CreatedShape: Final[Any] = _shape(OrderCreatedEvent, user_order=_OrderShape, signature=tuple[_Byte, ...])


def _maker(cls: type[T]) -> Callable[..., T]:
    """Return a function that makes a model of checked values, in the order of its fields, without its constructor.

    It makes an instance of a class with the same slots and a plain constructor, then sets the instance's class to the
    model. That takes a quarter of the time of setting the fields of a frozen instance one by one.
    """
    names = [field.name for field in attrs.fields(cls)]
    plain: Any = attrs.make_class(f"_Plain{cls.__name__}", names, eq=False, repr=False, slots=True, weakref_slot=False)

    def make(*values: object) -> T:
        model = plain(*values)
        model.__class__ = cls
        return cast("T", model)

    return make


_make_limit: Final = _maker(LimitOrderDetails)
# Feeds repeat these values, so they are cached.
_make_target: Final = lru_cache(maxsize=256)(TradeTarget)
_make_gtc: Final = lru_cache(maxsize=2)(GTC)
_make_ioc: Final = lru_cache(maxsize=2)(IOC)
_public_key: Final = lru_cache(maxsize=256)(public_key)


def _time_in_force(terms: _TimeInForce) -> TimeInForce:
    gtc, gtd, ioc = terms.GTC, terms.GTD, terms.IOC
    if isinstance(gtc, _GTC) and gtd is ioc is UNSET:
        return _make_gtc(gtc.post_only)
    if isinstance(ioc, _IOC) and gtc is gtd is UNSET:
        return _make_ioc(ioc.fill_or_kill)
    if isinstance(gtd, _GTD) and gtc is ioc is UNSET:
        return GTD(gtd.post_only, gtd.timestamp_ns)
    raise ValueError("expected one of GTC, GTD, IOC")


def _completer(cls: type[T], *given: str) -> Callable[..., T]:
    """Return a function that makes a model of a struct and of the values of the fields ``given``, in that order.

    The call is compiled from the model's fields, as attrs compiles ``__init__``. A list of the struct's values with
    some places changed would take a third longer.
    """
    values = ", ".join(field.name if field.name in given else f"shape.{field.name}" for field in attrs.fields(cls))
    code = f"lambda shape, {', '.join(given)}: make({values})"
    complete: Callable[..., T] = eval(code, {"make": _maker(cls)})  # noqa: S307 - the code holds only names of fields
    return complete


_complete_order: Final = _completer(Order, "signer", "order_id", "details", "target")
_complete_event: Final = _completer(OrderCreatedEvent, "user_order")
#: The fields of an event that may hold any JSON.
_ANYTHING: Final = [name for name, hint in get_type_hints(OrderCreatedEvent).items() if hint is Any]
_anything: Final = attrgetter(*_ANYTHING)
_NOTHING: Final = (None,) * len(_ANYTHING)


def _created(created: Any) -> OrderCreatedEvent:
    """Make the event. Raises one of ``MALFORMED`` if the event has an unusual form."""
    if (anything := _anything(created)) != _NOTHING:
        for value in anything:
            check_nesting(value, _NESTING)
    order = created.user_order
    limit: _Limit = order.details.Limit
    target: _Target = order.target
    return _complete_event(
        created,
        _complete_order(
            order,
            _public_key(order.signer),
            validate_order_id(order.order_id),
            _make_limit(limit.limit_price, limit.quantity, _time_in_force(limit.time_in_force)),
            _make_target(target.account, target.is_spot),
        ),
    )


def _reader(name: str, shape: type[msgspec.Struct], make: Callable[[Any], T]) -> Callable[[bytes], T]:
    """Return a reader of objects whose one key is a variant's name. It raises one of ``MALFORMED`` for any other."""
    envelope = msgspec.defstruct(f"_{name}Only", [("event", shape)], rename={"event": name}, bases=(_Shape,))
    # Strict: an event with numeric strings has an unusual form.
    decode = msgspec.json.Decoder(envelope, dec_hook=quick_hook, float_hook=exact).decode
    return lambda frame: make(cast("Any", decode(frame)).event)


def _event_reader(name: str, cls: type[T]) -> Callable[[bytes], T]:
    make = _maker(cls)
    return _reader(name, _shape(cls), lambda event: make(*astuple(event)))


_READERS: Final[Mapping[bytes, Callable[[bytes], OrderEvent]]] = {
    b"Created": _reader("Created", _CreatedShape, _created),
    b"Updated": _event_reader("Updated", OrderUpdatedEvent),
    b"Canceled": _event_reader("Canceled", OrderCancelledEvent),
    b"Removed": _event_reader("Removed", OrderRemovedEvent),
    b"Replaced": _event_reader("Replaced", OrderReplacedEvent),
    b"Amended": _event_reader("Amended", OrderAmendedEvent),
    b"Triggered": _event_reader("Triggered", OrderTriggeredEvent),
    b"CreateFailed": _event_reader("CreateFailed", OrderCreateFailedEvent),
    b"ReplaceFailed": _event_reader("ReplaceFailed", OrderReplaceFailedEvent),
    b"AmendFailed": _event_reader("AmendFailed", OrderAmendFailedEvent),
    b"CancelFailed": _event_reader("CancelFailed", OrderCancelFailedEvent),
}


def read_event(frame: bytes) -> OrderEvent | None:
    """Return the event of a frame, or None if the frame does not have the usual form."""
    read = _READERS.get(frame[2 : frame.find(b'"', 2)])
    if read is None or not frame.isascii():
        return None
    try:
        return read(frame)
    except MALFORMED:
        return None
