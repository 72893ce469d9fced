"""What is read from disk, and what callers pass."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest import mock

import attrs

from tplus_trio import RestartPolicy, UserManager, models
from tplus_trio.book.local import LocalBook
from tplus_trio.clients.connection_options import check_headers, check_prefix
from tplus_trio.clients.paging import page_params
from tplus_trio.errors import KeyfileError
from tplus_trio.models import AssetIdentifier, Interval, OrderBook, Side
from tplus_trio.streams.overflow import check_overflow
from tplus_trio.testing import Tape
from tplus_trio.transport.connector import Endpoint
from tplus_trio.users import keyfile
from tplus_trio.users.user import to_private_key, to_user_public_key

from .runner import Target

__all__ = ["ARGUMENTS", "KEYFILES", "TAPES"]

# Keyfiles.

_SEED: Final = bytes(range(32))
_PUBLIC: Final = to_private_key(_SEED).public_key().public_bytes_raw().hex()
_derive = keyfile._derive


def _derive_quickly(password: object, kdf: Any) -> bytes:
    """The same with few iterations, once their number is known to be bearable."""
    assert 1 <= kdf.iterations <= keyfile.MAX_ITERATIONS
    return _derive(password, attrs.evolve(kdf, iterations=min(kdf.iterations, 3)))


def _run_keyfile(head: str, data: bytes) -> str:
    """A key of the right size, or a `KeyfileError` that does not hold the password."""
    keyfile._derive, before = _derive_quickly, keyfile._derive
    try:
        match head:
            case "stored":
                return _load(data)
            case "public":
                return f"ok {to_user_public_key(data.decode('utf-8', 'surrogateescape'))}"
            case "private":
                to_private_key(data.decode("utf-8", "surrogateescape"))
                return "ok"
            case _:
                key = keyfile.decrypt_keyfile(data, "geheim")
                assert len(key) in {32, 64}
                return f"ok {len(key)}"
    except KeyfileError as error:
        return _word(error)
    except ValueError:
        if head not in {"stored", "public", "private"}:
            raise
        return "refused"
    finally:
        keyfile._derive = before


def _word(error: Exception) -> str:
    assert len(str(error)) < 500
    assert "geheim" not in str(error)
    return f"refused {error}"[:60]


#: In memory, where there is such a folder.
_folder: Final = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


def _load(data: bytes) -> str:
    """A stored user whose public key's file, up to the first zero, and keyfile are these."""
    folder = Path(_folder.name)
    public, _, private = data.partition(b"\0")
    (folder / "u").write_bytes(private)
    (folder / "u.pub").write_bytes(public)
    user = UserManager(folder).load("u", "geheim")
    user.unlock()
    return f"ok {user.public_key[:8]}"


def _keyfile(key: bytes) -> bytes:
    """The same at each run."""
    with mock.patch("os.urandom", bytes):
        return keyfile.encrypt_keyfile(key, "geheim", iterations=2)


KEYFILES: Final = Target(
    run=_run_keyfile,
    seeds={
        "keyfile": [_keyfile(_SEED), _keyfile(_SEED + bytes.fromhex(_PUBLIC))],
        "stored": [f"{_PUBLIC}\n".encode() + b"\0" + _keyfile(_SEED)],
        "public": [_PUBLIC.encode(), f"0x{_PUBLIC.upper()}".encode()],
        "private": [_SEED.hex().encode(), f"0x{_SEED.hex()}{_PUBLIC}".encode()],
    },
    words=[
        b"10000000",
        b"10000001",
        b"1000000000000",
        b'"sha512"',
        b"31",
        b'"AAAA"',
        b'"A==="',
        b'"%s"' % (b"A" * 43 + b"="),
    ],
)

# Tapes.


def _run_tape(_: str, data: bytes) -> str:
    """A tape that is written as it was read, or a ValueError."""
    try:
        tape = Tape.parse(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    except ValueError as error:
        return f"refused {error}"[:60]
    again = Tape.parse(entry.line() for entry in tape)
    assert list(again) == list(tape)
    assert again.feeds == tape.feeds
    "\n".join(entry.line() for entry in tape).encode()
    return f"ok {tape!r}"


TAPES: Final = Target(
    run=_run_tape,
    seeds={
        "tape": [
            b'{"t_ns": 1, "ws": "/depth/200", "frame": "{\\"asks\\":[]}"}\n{"t_ns":2,"get":"/trades","body":"[]"}\n',
            b'\n {"t_ns":5,"ws":"/trades","frame":"\\u00e9\\ud83d\\ude00"}\r\n',
        ]
    },
    words=[b"\n", b"\r", b'"ws"', b'"get"', b'"t_ns"', b'"frame"', b'"body"', b'\n{"t_ns":1,"ws":"/a","frame":"b"}\n'],
)

# Arguments.

_BOOK: Final = LocalBook(OrderBook(asks=[("10.5", 2), (11, "1e50")], bids=[(10, "1e-50"), (9, 1)], sequence_number=1))


def _asset(value: Any) -> None:
    asset = AssetIdentifier(value)
    assert re.fullmatch(r"0|[1-9][0-9]*|[0-9a-f]{64}@[0-9a-f]{18}", asset), asset
    assert AssetIdentifier(str(asset)) == asset


def _url(value: Any) -> None:
    endpoint = Endpoint.from_url(value)
    assert str(endpoint).isascii()
    assert Endpoint.from_url(str(endpoint)) == endpoint


def _user_name(value: Any) -> None:
    manager = UserManager("/folder")
    path = manager._path(value)
    assert path.parent == Path("/folder")
    assert path.name == value
    assert not value.endswith(".pub")


def _prefixed(value: Any) -> None:
    assert re.fullmatch(r"(/[\w.~/-]+)?", check_prefix(value), re.ASCII)
    assert ".." not in check_prefix(value)


def _head(value: Any) -> None:
    for text in (part for pair in check_headers(value).items() for part in pair):
        assert text.isascii()
        assert text.isprintable()


def _policy(value: Any) -> None:
    policy = RestartPolicy(**value)
    assert all(0 <= policy.ceiling(n) <= policy.max_delay for n in (1, 2, 3, 100, 2000))


def _size(value: Any) -> None:
    average = _BOOK.vwap("Buy", value)
    assert average is None or average.is_finite()


def _levels(value: Any) -> None:
    book = OrderBook(asks=value)
    assert all(type(level.price) is Decimal for level in book.asks)


#: What takes an argument, and good ones of it.
_ARGUMENTS: Final[dict[str, tuple[Callable[[Any], object], list[Any]]]] = {
    "asset": (
        _asset,
        [200, "200", "ab" * 20 + "@" + "0" * 18, {"Index": 200}, {"Address": {"address": [1] * 20, "chain": [0] * 9}}],
    ),
    "url": (
        _url,
        ["http://localhost:8011", "https://[::1]/a/b/", "http://bücher.example:80", "HTTP://my_host-1.test./a%20b"],
    ),
    "user": (_user_name, ["alice", "bücher.pub.x", "a b"]),
    "prefix": (_prefixed, ["/market-data", "a/b/", ""]),
    "headers": (_head, [{"X-A": "b c"}, {}]),
    "policy": (_policy, [{"initial_delay": 0.25, "max_delay": 30, "factor": 2.0, "max_restarts": 3, "within": 60.0}]),
    "order_id": (models.validate_order_id, ["oid-1", "é" * 12]),
    "key": (models.order.public_key, [_PUBLIC, list(_SEED)]),
    "signature": (models.order.signature_bytes, [[1, 2, 255]]),
    "side": (Side, ["Buy", "bid"]),
    "interval": (Interval, ["1S", "60"]),
    "price": (lambda value: _BOOK.quantity_at("ask", value), ["10.5", 11, "1e5"]),
    "size": (_size, ["1.5", 2, "1e60", "1e-60"]),
    "depth": (lambda value: (_BOOK.asks(value), _BOOK.bids(value)), [1, 0, None]),
    "levels": (_levels, [[["10.5", 2], [1, 1]], []]),
    "page": (lambda value: page_params(*value), [[0, 100], [None, None]]),
    "overflow": (lambda value: check_overflow(*value, can_conflate=False), [["block", 1024], ["error", 1]]),
    "bar": (lambda value: models.Timebar(*value), [["1", 2, "0.5", 3, 4, 5, 6]]),
    "units": (lambda value: models.LimitOrderDetails(*value), [[1, 2]]),
}


def _run_argument(head: str, data: bytes) -> str:
    """Taken, or refused with a ValueError or a TypeError."""
    if head not in _ARGUMENTS:
        return "refused: no such argument"
    text = data.decode("utf-8", "surrogateescape")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    try:
        _ARGUMENTS[head][0](value)
    except (ValueError, TypeError) as error:
        return f"refused {head} {type(error).__name__} {str(error)[:30]}"
    return f"ok {head} {text[:20]}"


ARGUMENTS: Final = Target(
    run=_run_argument,
    seeds={
        name: [json.dumps(value, ensure_ascii=False).encode() for value in good]
        for name, (_, good) in _ARGUMENTS.items()
    },
    words=[
        b'"0x"',
        b'"@"',
        b'"http://"',
        b'".."',
        b'"a/../b"',
        b'"\\r\\n"',
        b'"a\\\\b"',
        b'"xn--a"',
        b'"http://host:65536"',
        b"1e308",
    ],
)
