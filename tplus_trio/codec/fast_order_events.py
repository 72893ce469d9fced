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

from tplus_trio.codec.converter import variants_of
from tplus_trio.codec.json_text import MALFORMED, check_nesting, exact, quick_hook
from tplus_trio.codec.plain_class import plain_class
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    LimitOrderDetails,
    Order,
    OrderCreatedEvent,
    OrderEvent,
    Side,
    TimeInForce,
    TradeTarget,
    validate_order_id,
)
from tplus_trio.models.order import public_key, truth, units

__all__ = ["read_event"]

T = TypeVar("T", bound=attrs.AttrsInstance)

_Byte: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Units: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
#: How deeply a field of arbitrary JSON may be nested here. The general reader takes deeper ones, up to its own limit.
_NESTING: Final = 50

# The usual form: events as the service spells them today, a new order as a limit order without a trigger. The types of
# these structs refuse all that the models refuse, apart from what the functions below check. The models' constructors
# therefore need not run. An unknown key makes a struct refuse the event, because its value would not be checked.


class _Shape(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    pass


def _covered(field: attrs.Attribute[Any]) -> bool:
    """Return whether a struct, by the type of a field, checks all that the model checks."""
    converter = cast("Any", field).converter
    return field.validator in (None, units, truth) and (converter is None or converter is AssetIdentifier)


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


_TimeInForceShape: Final[Any] = msgspec.defstruct(
    "_TimeInForce",
    [(name, _shape(cls) | UnsetType, UNSET) for name, cls in variants_of(TimeInForce).items()],
    bases=(_Shape,),
)
_LimitShape: Final[Any] = _shape(LimitOrderDetails, time_in_force=_TimeInForceShape)
_OrderShape: Final[Any] = _shape(
    Order,
    signer=str,
    order_id=str,
    side=Side,
    details=msgspec.defstruct("_Details", [("Limit", _LimitShape)], bases=(_Shape,)),
    target=_shape(TradeTarget),
    trigger=None,
)
_CreatedShape: Final[Any] = _shape(OrderCreatedEvent, user_order=_OrderShape, signature=tuple[_Byte, ...])


def _completer(cls: type[T], *given: str) -> Callable[..., T]:
    """Return a function that makes a model of a struct and of the values of the fields ``given``, in that order.

    The values are checked already; the model's constructor does not run. The code is compiled from the model's fields,
    as attrs compiles ``__init__``: a list of the struct's values with some places changed would take a third longer.
    """
    values = ", ".join(field.name if field.name in given else f"shape.{field.name}" for field in attrs.fields(cls))
    code = (
        f"def complete({', '.join(('shape', *given))}):\n"
        f"    model = plain({values})\n"
        "    model.__class__ = cls\n"
        "    return model\n"
    )
    names: dict[str, Any] = {"plain": plain_class(cls), "cls": cls}
    exec(code, names)  # noqa: S102 - the code holds only names of fields
    complete: Callable[..., T] = names["complete"]
    return complete


_public_key: Final = lru_cache(maxsize=256)(public_key)
_complete_limit: Final = _completer(LimitOrderDetails, "time_in_force")
_complete_order: Final = _completer(Order, "signer", "order_id", "details", "target")
_complete_event: Final = _completer(OrderCreatedEvent, "user_order")


# Feeds repeat a few of these values, so they are cached. The sizes bound the cost of a look-up of hostile values.


@lru_cache(maxsize=256)
def _target(shape: Any) -> TradeTarget:
    return TradeTarget(*astuple(shape))


@lru_cache(maxsize=16)
def _gtc(shape: Any) -> GTC:
    return GTC(*astuple(shape))


@lru_cache(maxsize=16)
def _ioc(shape: Any) -> IOC:
    return IOC(*astuple(shape))


def _time_in_force(shape: Any) -> TimeInForce:
    gtc, gtd, ioc = shape.GTC, shape.GTD, shape.IOC
    if gtd is ioc is UNSET and gtc is not UNSET:
        return _gtc(gtc)
    if gtc is gtd is UNSET and ioc is not UNSET:
        return _ioc(ioc)
    if gtc is ioc is UNSET and gtd is not UNSET:
        return GTD(*astuple(gtd))
    raise ValueError("expected one of GTC, GTD, IOC")


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
    limit = order.details.Limit
    return _complete_event(
        created,
        _complete_order(
            order,
            _public_key(order.signer),
            validate_order_id(order.order_id),
            _complete_limit(limit, _time_in_force(limit.time_in_force)),
            _target(order.target),
        ),
    )


def _reader(name: str, shape: type[msgspec.Struct], make: Callable[[Any], T]) -> Callable[[bytes], T]:
    """Return a reader of objects whose one key is a variant's name. It raises one of ``MALFORMED`` for any other."""
    envelope = msgspec.defstruct(f"_{name}Only", [("event", shape)], rename={"event": name}, bases=(_Shape,))
    # Strict: an event with numeric strings has an unusual form.
    decode = msgspec.json.Decoder(envelope, dec_hook=quick_hook, float_hook=exact).decode
    return lambda frame: make(cast("Any", decode(frame)).event)


def _variant_reader(name: str, cls: Any) -> Callable[[bytes], Any]:
    if cls is OrderCreatedEvent:
        return _reader(name, _CreatedShape, _created)
    return _reader(name, _shape(cls), _completer(cls))


_READERS: Final[Mapping[bytes, Callable[[bytes], OrderEvent]]] = {
    name.encode(): _variant_reader(name, cls) for name, cls in variants_of(OrderEvent).items()
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
