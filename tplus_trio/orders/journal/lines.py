"""The text of a journal: one line for each record, with a checksum and a number. Pure.

A line is the CRC-32 of the rest in 8 hex digits, a space, the line's number, a space, compact JSON, and a newline. The
first line, of number 0, names the format and its version. No line has a secret: an order is written without signatures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias
from zlib import crc32

import attrs
import msgspec

from tplus_trio import codec
from tplus_trio.errors import DecodeError
from tplus_trio.models import AmendOrder, Order, ReplaceOrderDetails
from tplus_trio.orders.order_facts import Change

__all__ = ["HEADER", "ChangeSent", "OrderGone", "OrderSent", "Record", "encode_line", "encode_lines", "read_lines"]

_FORMAT: Final = "tplus-trio orders"
_VERSION: Final = 1
#: The checksum, and what it is of; in that the line's number and the JSON.
_LINE: Final = re.compile(rb"([0-9a-f]{8}) ((0|[1-9][0-9]{0,17}) (\{.*\}))")
_to_json: Final = msgspec.json.Encoder().encode


@attrs.frozen
class OrderSent:
    """An order is about to be sent."""

    #: What later records call the order. It is larger than that of each order before.
    entry: int
    order: Order
    #: The key of an order of `OrderScope.keep`; None for other orders.
    key: str | None = None
    #: The order of the same handle that has gone, and that this one follows; None for the first one.
    follows: int | None = None


@attrs.frozen
class ChangeSent:
    """A replacement or an amendment of an order is about to be sent."""

    entry: int
    change: Change


@attrs.frozen
class OrderGone:
    """An order is proved gone, or was not sent."""

    entry: int


Record: TypeAlias = OrderSent | ChangeSent | OrderGone


@attrs.frozen
class _Header:
    journal: str
    version: int


@attrs.frozen
class _Order:
    entry: int
    key: str | None
    follows: int | None
    order: msgspec.Raw


@attrs.frozen
class _Change:
    entry: int
    kind: str
    change: msgspec.Raw


@attrs.frozen
class _Gone:
    entry: int
    gone: bool


_header: Final = msgspec.json.Decoder(_Header)
_order: Final = msgspec.json.Decoder(_Order)
_change: Final = msgspec.json.Decoder(_Change)
_gone: Final = msgspec.json.Decoder(_Gone)
_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
#: The JSON of each change, by its kind.
_CHANGES: Final[dict[str, type[ReplaceOrderDetails | AmendOrder]]] = {
    "replace": ReplaceOrderDetails,
    "amend": AmendOrder,
}


def _line(number: int, text: bytes) -> bytes:
    checked = b"%d %b" % (number, text)
    return b"%08x %b\n" % (crc32(checked), checked)


#: The first line of a journal.
HEADER: Final = _line(0, _to_json(_Header(_FORMAT, _VERSION)))


def encode_line(number: int, record: Record) -> bytes:
    """Return the line of a record.

    Args:
        number: The line's number, at least 1.
        record: The record.

    Raises:
        UnicodeEncodeError: the key of an order has half a surrogate pair, which has no UTF-8 form.
    """
    return _line(number, _json_of(record))


def encode_lines(records: Iterable[Record]) -> bytes:
    """Return a whole journal that has some records."""
    return HEADER + b"".join(encode_line(number, record) for number, record in enumerate(records, 1))


def _json_of(record: Record) -> bytes:
    if isinstance(record, OrderSent):
        key = _to_json(record.key)
        follows = _to_json(record.follows)
        # The order is written as it was signed.
        order = codec.signable(record.order).encode()
        return b'{"entry":%d,"key":%b,"follows":%b,"order":%b}' % (record.entry, key, follows, order)
    if isinstance(record, ChangeSent):
        kind = b"amend" if isinstance(record.change, AmendOrder) else b"replace"
        return b'{"entry":%d,"kind":"%b","change":%b}' % (record.entry, kind, codec.encode(record.change))
    return b'{"entry":%d,"gone":true}' % record.entry


def read_lines(data: bytes) -> Iterator[tuple[int, Record]]:
    """Yield the records of the lines that end with a newline, each with its line's number. The header yields none.

    What follows the last newline is ignored: the line was being written when the program ended.

    Raises:
        ValueError: a line is not what was written; the message says which one, counted from 1, and what is wrong.
    """
    lines = data.split(b"\n")[:-1]
    for number, line in enumerate(lines):
        try:
            text = _check(number, line)
            if number:
                yield number, _record_of(text)
            else:
                _check_header(text)
        except (ValueError, TypeError, DecodeError, msgspec.MsgspecError) as exc:
            msg = f"line {number + 1}: {exc}"
            raise ValueError(msg) from exc


def _check(number: int, line: bytes) -> bytes:
    """Check a line's form, checksum and number, and return its JSON."""
    if not (match := _LINE.fullmatch(line)):
        raise ValueError("it has not the form of a line of a journal")
    checksum, checked, written, text = match.groups()
    if int(checksum, 16) != crc32(checked):
        raise ValueError("its checksum is that of other bytes")
    if int(written) != number:
        msg = f"it is number {int(written)} where {number} follows: lines are missing, or are there twice"
        raise ValueError(msg)
    return text


def _check_header(text: bytes) -> None:
    header = _header.decode(text)
    if header.journal != _FORMAT:
        msg = f"it is a journal of {header.journal!r}, not of {_FORMAT!r}"
        raise ValueError(msg)
    if header.version != _VERSION:
        msg = f"the journal's version is {header.version}; this program reads version {_VERSION}"
        raise ValueError(msg)


def _record_of(text: bytes) -> Record:
    keys = _keys.decode(text).keys()
    if "order" in keys:
        sent = _order.decode(text)
        return OrderSent(sent.entry, codec.decode(bytes(sent.order), Order), sent.key, sent.follows)
    if "change" in keys:
        asked = _change.decode(text)
        if (kind := _CHANGES.get(asked.kind)) is None:
            msg = f"it is a change of the unknown kind {asked.kind!r}"
            raise ValueError(msg)
        return ChangeSent(asked.entry, codec.decode(bytes(asked.change), kind))
    if not (gone := _gone.decode(text)).gone:
        raise ValueError("it says that an order is not gone")
    return OrderGone(gone.entry)
