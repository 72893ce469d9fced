"""Text of a service is printable and on one line wherever it leaves: errors, logs, reprs, standard output."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.helpers.peers import answer
from tests.helpers.secrets_audit import Asked, Service
from tests.helpers.secrets_search import chain
from tests.properties.secrets.test_audit import Audit, drive
from tplus_trio import OrderCancelledEvent, OrdersSnapshot, TplusError, UnknownOrderEvent, errors
from tplus_trio.cli.failure import complain
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.run import run
from tplus_trio.cli.show import as_json, as_text
from tplus_trio.escapes import escape, escape_json
from tplus_trio.refusals import api_error
from tplus_trio.testing.wire_frames import CLOSE, TEXT, frame

EVIL: Final = "gone\x1b[2J\x07\r\nFORGED: bought\x9b31m\u2028FORGED\u202e\x7f\u200b\x85FORGED"
RAW: Final = EVIL.encode()
TEXT_IN_JSON: Final = json.dumps(EVIL, ensure_ascii=False)
ESCAPED: Final = r"gone\x1b[2J\x07\r\nFORGED: bought\x9b31m\u2028FORGED\u202e\x7f\u200b\x85FORGED"


def _error(status: int, error: object) -> Callable[[Asked], bytes]:
    return lambda _: answer(status, json.dumps({"error": error}, ensure_ascii=False).encode())


ANSWERS: Final[dict[str, Callable[[Asked], bytes]]] = {
    "code and message": _error(400, {"code": EVIL, "message": EVIL, "details": {EVIL: [EVIL, {"a": EVIL}]}}),
    "unauthorized": _error(401, {"code": "UNAUTHORIZED", "message": EVIL}),
    "rate limited": _error(429, {"code": "RATE_LIMITED", "message": EVIL}),
    "flat": _error(422, EVIL),
    "page": lambda _: answer(502, b"<html>" + RAW),
    "no JSON": lambda _: answer(200, RAW),
    "wrong type": lambda _: answer(200, TEXT_IN_JSON.encode()),
    "wrong key": lambda _: answer(200, json.dumps({EVIL: EVIL}).encode()),
    "bad value": lambda _: answer(200, json.dumps([{"asset_id": EVIL, "trade_id": EVIL, "price": EVIL}]).encode()),
    "header": lambda _: answer(200, b"{}", "Content-Encoding: \x9b31mFORGED"),
    "redirect": lambda _: answer(307, b"", "Location: /\x9b31mFORGED"),
    "status line": lambda _: b"HTTP/1.1 400 \x9b31mFORGED\x1b\r\nContent-Length: 0\r\n\r\n",
    "no status line": lambda _: RAW + b"\r\n\r\n",
    "subprotocol": lambda _: b"HTTP/1.1 101 x\r\nUpgrade: \x9b31m\r\nSec-WebSocket-Protocol: \x9bFORGED\r\n\r\n",
}
FRAMES: Final[dict[str, Callable[[Asked], bytes]]] = {
    "close": lambda _: frame(CLOSE, b"\x0f\xa1" + RAW),
    "no JSON": lambda _: frame(TEXT, RAW),
    "no event": lambda _: frame(TEXT, json.dumps({EVIL: EVIL}).encode()),
    "unknown event": lambda _: frame(TEXT, json.dumps({EVIL: {EVIL: EVIL}}, ensure_ascii=False).encode()),
    "bad event": lambda _: frame(TEXT, json.dumps({"Created": {EVIL: EVIL}}, ensure_ascii=False).encode()),
    "reason": lambda _: frame(
        TEXT,
        json.dumps({"CancelFailed": {"order_id": EVIL, "user_id": EVIL, "reason": EVIL}}, ensure_ascii=False).encode(),
    ),
}
CASES: Final = [("answer", name) for name in ANSWERS] + [("frame", name) for name in FRAMES]


def _is_safe(text: str) -> bool:
    return text.isprintable() and not text.startswith("FORGED")


@pytest.mark.parametrize(("kind", "name"), CASES)
async def test_errors_logs_and_reprs(
    kind: str, name: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tplus_trio")
    if kind == "answer":
        service = Service("t" * 30, ANSWERS[name], None, "-")
    else:
        service = Service("t" * 30, lambda _: answer(503, RAW), FRAMES[name], "-")
    audit = Audit()
    await drive(audit, service)
    ours = [link for error in audit.errors for link in chain(error) if isinstance(link, TplusError)]
    assert len(ours) > 4
    for link in ours:
        assert _is_safe(str(link)), link
        assert _is_safe(repr(link)), link
        assert all(_is_safe(str(arg)) for arg in link.args if isinstance(arg, str)), link.args
    for error in audit.errors:  # the causes too, because a traceback shows them
        for cause in chain(error):
            assert not any(line.startswith("FORGED") for line in str(cause).splitlines()), cause
            assert all(line.isprintable() for line in str(cause).split("\n")), cause
    for record in caplog.records:
        assert _is_safe(record.getMessage()), record
    for text in audit.told:
        assert "\x1b" not in text
        assert "\x9b" not in text


def test_every_error_of_ours() -> None:
    """Also an error that is made without the functions that escape their arguments."""
    for name in errors.__all__:
        kind: Any = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, errors.ApiError):
            assert _is_safe(str(kind(EVIL, EVIL, 400)))
        elif kind is errors.HandshakeRejected:
            assert str(kind(400, EVIL)) == f"WebSocket handshake rejected with status 400: {ESCAPED}"
        elif kind in {errors.TplusError, errors.ConnectionFailed, errors.DecodeError, errors.KeyfileError}:
            assert str(kind(EVIL)) == ESCAPED
    assert str(api_error(400, EVIL)).isprintable()


EVENTS: Final = [
    UnknownOrderEvent(variant=EVIL, payload={EVIL: EVIL}),
    OrderCancelledEvent(order_id=EVIL, asset_id="200", user_id=EVIL, timestamp_ns=1, reason=EVIL),
    OrdersSnapshot(orders=(), timestamp_ns=1),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_standard_output(event: Any, capfd: pytest.CaptureFixture[str]) -> None:
    async def program(lines: Lines) -> int:
        await lines.put(as_text("orders", "", event))
        await lines.put(as_json(event))
        return 0

    assert run(program) == 0
    text, data = capfd.readouterr().out.removesuffix("\n").split("\n")
    assert text.isprintable()
    assert data.isprintable()
    told = json.loads(data)
    assert told["kind"] == type(event).__name__
    if not isinstance(event, OrdersSnapshot):
        assert EVIL in repr_of(told)


def repr_of(told: object) -> str:
    return json.dumps(told, ensure_ascii=False).replace(TEXT_IN_JSON[1:-1], EVIL)


def test_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert complain(ValueError(EVIL)) == 1
    err = capfd.readouterr().err
    assert err.removesuffix("\n").isprintable()


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield root
    root.handlers, root.level = before, level


def test_what_other_packages_log(root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    root_logger.handlers = []  # pytest has added its own for the test itself

    async def program(_: Lines) -> int:
        await trio.lowlevel.checkpoint()
        logging.getLogger("another").warning("a peer says %s", EVIL)
        return 0

    assert run(program) == 0
    assert err.getvalue() == f"tplus-trio: a peer says {ESCAPED}\n"


@given(st.text())
def test_escape(text: str) -> None:
    escaped = escape(text)
    assert escaped.isprintable()
    assert escape(escaped) == escaped
    assert escaped == text or not text.isprintable()


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_escape_json(value: Any) -> None:
    escaped = escape_json(json.dumps(value, ensure_ascii=False))
    assert escaped.isprintable()
    assert json.loads(escaped) == value
