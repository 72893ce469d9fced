"""What a service sends: WebSocket frames, the feeds' messages, answers over REST."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from random import Random
from typing import Any, Final
from unittest import mock
from zlib import crc32

import attrs
import httpx
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from tests.codec.test_batch_decoders import BATCHES, CREATED, ORDERS
from tests.codec.test_frame_decoders import FEEDS as GOOD
from tests.helpers.wire_texts import BAR, LIMIT_ORDER, LISTED_ORDER, REAL_TRADE, REMOVED, TICKER, USER_EVENTS
from tplus_trio import codec, models
from tplus_trio.auth import body_of
from tplus_trio.errors import ApiError, DecodeError, HandshakeRejected
from tplus_trio.secret import Redactor
from tplus_trio.streams.policy import RestartPolicy, Restarts, is_passing
from tplus_trio.transport import text_frame_parser
from tplus_trio.transport.http import Answer
from tplus_trio.transport.retry_after import retry_after
from tplus_trio.transport.text_frame_parser import TextFrameParser

from .mutate import change_bytes, change_json
from .runner import Target

__all__ = ["ANSWERS", "FEEDS", "FRAMES"]

# Frames.

_MAX: Final = 300
#: What was cut: texts, other bytes by message, what is left to the full implementation, what is not complete.
_Cut = list[tuple[str, bytes]]


def _cut(chunks: Iterable[bytes]) -> _Cut:
    """What comes out of a parser, whatever pieces it came in."""
    parser, out, whole = TextFrameParser(_MAX), _Cut(), True
    for chunk in chunks:
        if out and out[-1][0] == "final":
            out[-1] = ("final", out[-1][1] + chunk)
            continue
        parser.feed(chunk)
        while True:
            if messages := parser.messages():
                assert whole, "a text within a message"
                out += [("text", message) for message in messages]
            elif (other := parser.passthrough()) is None:
                break
            elif other.final:
                out.append(("final", other.data))
                break
            else:
                before = b"" if whole else out.pop()[1]
                out.append(("other", before + other.data))
                whole = other.completes or (whole and other.data[0] & 0x8F in {0x89, 0x8A})
    rest = parser.rest()
    if not whole:
        # How much of a frame that never ends was handed out depends on how it came.
        out[-1], rest = (out[-1][0], out[-1][1] + rest), b""
    return [*out, ("rest", rest)]


def _frame(message: bytes) -> bytes:
    size = len(message)
    return b"\x81" + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)) + message


def _read(pieces: _Cut) -> list[tuple[Opcode, Any]]:
    """The messages and control frames in what a full implementation reads, texts in between as they are."""
    protocol: Any = FrameProtocol(client=True, extensions=[])
    found: list[tuple[Opcode, Any]] = []
    opcode, parts = Opcode.TEXT, list[Any]()
    for kind, piece in pieces:
        if kind == "text":
            found.append((Opcode.TEXT, [piece.decode()]))
            continue
        try:
            protocol.receive_bytes(piece)
            for frame in protocol.received_frames():
                if frame.opcode.iscontrol():
                    found.append((frame.opcode, frame.payload))
                    continue
                opcode = frame.opcode
                if frame.payload:
                    parts.append(frame.payload if isinstance(frame.payload, str) else bytes(frame.payload))
                if frame.message_finished:
                    found.append((opcode, ["".join(parts)] if opcode is Opcode.TEXT else [b"".join(parts)]))
                    parts = []
        except ParseFailed:
            break
    return found


def _run_frames(head: str, data: bytes) -> str:
    random = Random(crc32(head.encode() + data))
    chunks, rest, size = [], data, random.choice((1, 2, 9, 99))
    while rest:
        n = 1 + int(random.random() * size)
        chunks.append(rest[:n])
        rest = rest[n:]
    with mock.patch.object(text_frame_parser, "_MUCH", size):
        whole, cut = _cut([data]), _cut(chunks)
    assert cut == whole, f"{cut} != {whole}"
    assert b"".join(_frame(piece) if kind == "text" else piece for kind, piece in whole) == data
    assert all(len(piece) <= _MAX for kind, piece in whole if kind == "text")
    ours, theirs = _read(whole), _read([("rest", data)])
    assert ours == theirs, f"{ours} != {theirs}"
    return " ".join(f"{kind[0]}{piece[:1].hex()}{len(piece).bit_length()}" for kind, piece in whole[:6])


def _hex(text: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in re.findall(r"\w+", text)]


#: Whole frames, fragments, control frames; then what breaks the protocol, or is too long to be cut.
_HEADS: Final = [
    *_hex("81027b7d 0102616200026364 80026566 82026269 890170 8a00 880203e8 8104c3a9c3a9 0101c38001a9"),
    *_hex("8101ff 818261626364 c10178 8300 090170 897e007e 817e0005 827f7fffffffffffffff 817fffffffffffffffff"),
    *(_frame(b"x" * size) for size in (125, 126, 300, 301)),
    b"\x81\x7f" + bytes(6) + b"\1\0" + bytes(256),
    b"\x81\0" * 40,
]
FRAMES: Final = Target(
    run=_run_frames,
    seeds={str(n): [head, head + b"\x81\x02{}", b"\x81\x02{}" * n + head] for n, head in enumerate(_HEADS)},
    change=change_bytes,
    words=_HEADS,
)

# Messages of feeds.

_ORDER: Final = LIMIT_ORDER
_MARKET: Final = (
    _ORDER.replace('"trigger":null', '"trigger":{"parent_order_id":null,"condition":{"PriceBelow":{"price":9500}}}')
    .replace('"Limit":{"limit_price":1000,', '"Market":{"fill_or_kill":true,')
    .replace('"quantity":5,"time_in_force":{"GTC":{"post_only":true}}', '"quantity":{"BaseAsset":{"quantity":5}}')
)
_OTHERS: Final[dict[str, list[str]]] = {
    "orders": [*ORDERS, f'{{"type":"removed",{REMOVED[1:]}', CREATED.replace(_ORDER, _MARKET), '{"Odd":{"a":[0.10]}}'],
    "user events": [f'{{"{name}":{fields}}}' for name, fields in USER_EVENTS.items()],
    "klines": [BAR],
}
#: Each feed's decoder, its decoder of batches where it has one, and good messages.
_FEEDS: Final[dict[str, tuple[codec.FrameDecoder[Any], codec.BatchDecoder[Any] | None, list[str]]]] = {
    name: (
        decode,
        BATCHES[name][0] if name in BATCHES else None,
        [*(BATCHES[name][2] if name in BATCHES else [good]), *_OTHERS.get(name, [])],
    )
    for name, (decode, good) in GOOD.items()
}
_LISTS: Final = {"klines", "tickers"}
#: Whose amounts may be below zero: a short position, a rebate, a change, and what REST tells of positions and orders.
_SIGNED: Final = (models.Position, models.OrderResponse, models.TickerOpenInterest, models.IntentAggregateUpdate)
_COUNTED: Final = ("price", "quantity", "volume", "size", "open", "close", "high", "low", "amount")


def _check_numbers(value: Any, name: str = "", owner: object = None) -> None:
    """Fail over a number that is none, and over a quantity below zero."""
    if isinstance(value, Decimal):
        assert value.is_finite(), f"{name} is {value}"
        assert not value or abs(value.adjusted()) <= 99, f"{name} is {value}"
    if isinstance(value, Decimal | int) and not isinstance(owner, _SIGNED) and "change" not in name:
        counted = any(word in name for word in _COUNTED) and not name.endswith(("_ns", "decimals"))
        of_user = isinstance(owner, models.UserActivityEvent)
        assert not counted or of_user or value >= 0, f"{name} is {value}"
    elif isinstance(value, models.PriceLevel):
        _check_numbers(value.price, "price")
        _check_numbers(value.quantity, "quantity")
    elif isinstance(value, tuple | list):
        for item in value:
            _check_numbers(item, name, owner)
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            _check_numbers(getattr(value, field.name), field.name, value)


def _word(error: Exception) -> str:
    """What was wrong, in the decoder's words, without the input's."""
    assert len(str(error)) < 400
    return f"refused {str(error)[:50]}"


def _run_feed(name: str, frame: bytes) -> str:
    if name not in _FEEDS:
        return "refused: no such feed"
    decode, decode_batch, good = _FEEDS[name]
    items: Sequence[Any] | None = None
    try:
        items = decode(frame)
        word = "ok" + " ".join(type(item).__name__ for item in items[:2]) + repr([*items[:1]])[:30]
    except DecodeError as error:
        word = _word(error)
    which = crc32(frame)
    if which % 8 == 0:
        try:
            assert decode(frame.decode()) == items
        except (UnicodeError, DecodeError):
            assert items is None, "text and bytes differ"
    if decode_batch is not None:
        _check_batch(decode, decode_batch, [frame], items)
        cut = which % (len(frame) + 1)
        for batch in ([good[0].encode(), frame], [frame[:cut], frame[cut:]]):
            _check_batch(decode, decode_batch, batch)
    if items:
        _check_numbers(items)
        text = codec.encode(list(items) if name in _LISTS else items[0], decimals="number")
        try:
            again = decode(text)
        except DecodeError as error:
            # Events are sent in a form that is a level deeper than their older one.
            if "nested too deeply" not in str(error):
                raise
            return word
        assert list(again) == list(items), f"{again} != {items}"
    return word


def _check_batch(
    decode: codec.FrameDecoder[Any],
    decode_batch: codec.BatchDecoder[Any],
    batch: list[bytes],
    items: Sequence[Any] | None = None,
) -> None:
    """A batch is its frames, or left alone."""
    if (many := decode_batch(batch)) is not None:
        alone = [item for frame in batch for item in decode(frame)] if items is None else list(items)
        assert list(many) == alone
        assert repr([*many]) == repr(alone), "equal, but not the same"


FEEDS: Final = Target(
    run=_run_feed,
    seeds={name: [text.encode() for text in good] for name, (_, _, good) in _FEEDS.items()},
    words=[
        *(
            b'"Buy"',
            b'"Confirmed"',
            b'"short"',
            b"[1,2]",
            b'"type":"ping"',
            b'"type":',
            b'"asset\\u005fid":"7"',
            b'"asset_id":',
        ),
        *(
            b'{"Limit":{"limit_price":1,"quantity":5,"time_in_force":{"IOC":{}}}}',
            b'{"GTD":{"post_only":true,"timestamp_ns":5}}',
        ),
    ],
)

# Answers over REST.

_KINDS: Final[dict[str, tuple[Any, list[str]]]] = {
    "book": (models.OrderBook, ['{"asks":[["2","1e-5"]],"bids":[[1,"3.0"]],"sequence_number":5}']),
    "trades": (list[models.Trade], [f"[{REAL_TRADE}]"]),
    "klines": (
        models.KlinesPage,
        [f'{{"items":[{BAR}],"has_next_page":true,"next_page":2,"truncated_before_ns":"77"}}', f"[{BAR}]"],
    ),
    "ticker": (models.Ticker, [TICKER]),
    "tickers": (list[models.Ticker], [f"[{TICKER}]"]),
    "market": (models.Market, ['{"asset_id":"200","book_price_decimals":2,"book_quantity_decimals":-3}']),
    "orders": (
        models.UserOrders,
        [f'{{"orders":[{LISTED_ORDER}],"next":false,"x":1.10}}', f"[{LISTED_ORDER}]"],
    ),
    "operation": (
        models.OrderOperationResponse,
        ['{"order_id":"o","status":"Rejected","reason":"m","processed_at_ns":1}'],
    ),
    "nonce": (models.Nonce, ['{"value":5,"expiry":1}', '"n"', "5"]),
    "token": (models.AuthToken, ['{"token":"t","expiry_ns":"5"}']),
    "plain": (dict[str, Any], ['{"a":0.10,"b":[1e5,{"c":"x"}],"d":12345678901234567890123}']),
    "order": (
        models.CreateOrderRequest,
        [f'{{"order":{_ORDER},"signature":[1,2],"post_sign_timestamp":7,"additional_signers":[]}}'],
    ),
}
_ERRORS: Final = [
    '{"error":{"code":"ORDER_REJECTED","message":"m","details":{"order_id":"o"},"retryable":true}}',
    '{"error":{"code":"NONCE_USED","message":"m"}}',
    '{"error":"text"}',
    "plain text",
]
_WAITS: Final = ["5", "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 2999 23:59:59 +0100", "31-Dec-99 1:2:3 EST", "0.5"]


def _run_answer(head: str, body: bytes) -> str:
    kind, _, more = head.partition(" ")
    match kind:
        case "error":
            return _refusal(int(more) if more.isdigit() and len(more) == 3 else 500, body)
        case "wait":
            wait = retry_after(body.decode("latin-1"))
            assert wait is None or 0 <= wait < math.inf, f"to wait for {wait} s"
            failure = HandshakeRejected(429, "", wait)
            assert Restarts(RestartPolicy()).failed(failure, 0.0) >= min(wait or 0, 3600)
            return "refused" if wait is None else f"ok {math.frexp(wait)[1]}"
    if kind not in _KINDS:
        return "refused: no such answer"
    cls = _KINDS[kind][0]
    try:
        model = codec.decode(body, cls)
    except DecodeError as error:
        return _word(error)
    _check_numbers(model)
    if isinstance(model, models.Nonce):
        model.value.encode()
        given = json.loads(body)
        assert type(given["value"] if isinstance(given, dict) else given) in {str, int}
        assert model == codec.decode(json.dumps(model.value), cls)
    else:
        again = codec.decode(codec.encode(model, decimals="number"), cls)
        assert again == model, f"{again} != {model}"
    return f"ok {kind} {str(model)[:40]}"


def _refusal(status: int, body: bytes) -> str:
    """A status that is no success: an `ApiError`, whatever the body."""
    try:
        body_of(Answer(status, httpx.Headers({"retry-after": "5"}), body), Redactor())
    except ApiError as error:
        return _use(error, deeply=crc32(body) % 8 == 0)
    assert 200 <= status < 300
    return "ok"


def _use(error: ApiError, *, deeply: bool) -> str:
    """Do with an error whatever is done with errors."""
    assert len(error.code) + len(str(error)) < 1000, "an error of any length"
    assert repr(copy.copy(error)) == repr(error)
    if deeply:
        assert repr(pickle.loads(pickle.dumps(error))) == repr(error)
    assert isinstance(error.details, dict | None)
    assert isinstance(getattr(error, "order_id", None), str | None)
    return f"ok {type(error).__name__} {error.code[:20]} {bool(error.details)} {error.retryable} {is_passing(error)}"


ANSWERS: Final = Target(
    run=_run_answer,
    seeds={
        **{kind: [text.encode() for text in good] for kind, (_, good) in _KINDS.items()},
        **{f"error {status}": [text.encode() for text in _ERRORS] for status in (302, 400, 401, 404, 429, 500)},
        "wait": [text.encode() for text in _WAITS],
    },
    change=change_json,
    words=[b'"Received"', b'"INSUFFICIENT_MARGIN"', b'"X_NOT_FOUND"', b"99999", b"GMT", b"-2359", b"Jan"],
)
