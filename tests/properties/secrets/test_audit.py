"""Every way in which a service can fail a client that has a key, a token and signatures to hide."""

from __future__ import annotations

import base64
import functools
import getpass
import io
import json
import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import attrs
import pytest
import trio
from trio.testing import MockClock
from wsproto.utilities import generate_accept_token

from tests.helpers.peers import answer, listening, read_head
from tests.helpers.secrets_search import assert_no_secret, said_by, told_by_records
from tplus_trio import LocalUser, MarketDataClient, OrderBookClient, RestartPolicy, User, UserManager
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import CLOSE, PING, TEXT, frame
from tplus_trio.users import manager
from tplus_trio.users.keyfile import encrypt_keyfile

KEY: Final = bytes(range(201, 233))
TOKENS: Final = ("eyMARKED0123456789abcdefghijklmnopqrstuvwxyzMARKED", "odd\"MARKED\\/<tok>'&%2541{}[],:;?=|MARKED~")
HEADER: Final = "header-MARKED-abcdefghijklmnopqrstuvwxyz-MARKED"
MARKET: Final = b'{"asset_id":"200","book_price_decimals":2,"book_quantity_decimals":3}'


@attrs.frozen
class Asked:
    """A request, and what was told in it that nobody else should know."""

    head: bytes
    body: bytes = b""

    @property
    def upgrades(self) -> bool:
        return b"upgrade: websocket" in self.head.lower()

    @property
    def token(self) -> bytes:
        found = re.search(rb"^authorization: bearer ([!-~]+)", self.head, re.IGNORECASE | re.MULTILINE)
        return found[1] if found else b""

    @property
    def signature(self) -> list[int]:
        found = re.search(rb'"signature":(\[[\d,]+\])', self.body)
        return json.loads(found[1]) if found else []

    @property
    def echo(self) -> bytes:
        """All of it in one line, and in several ways."""
        signature = bytes(self.signature)
        ways = (self.signature, signature, signature.hex(), json.dumps(self.signature, indent=1))
        text = " ".join([self.token.decode(), HEADER, *map(str, ways)]).encode() + self.body
        return re.sub(rb"\s+", b" ", text)


Answer = Callable[[Asked], bytes]


def _json(status: int, make: Callable[[Asked], object]) -> Answer:
    def respond(asked: Asked) -> bytes:
        return answer(status, json.dumps(make(asked), indent=1).encode(), "Content-Type: application/json")

    return respond


def _details(asked: Asked) -> dict[str, object]:
    token, echo = asked.token.decode(), asked.echo.decode()
    details = {
        "order_id": token,
        token: [token, {"deep": echo}],
        "signature": asked.signature,
        "raw": [asked.signature],
    }
    return {"error": {"code": f"INVALID_{token}", "message": echo, "details": details}}


def _head(status: int, *lines: Callable[[Asked], bytes], body: bytes = b"") -> Answer:
    def respond(asked: Asked) -> bytes:
        head = [b"HTTP/1.1 %d %s" % (status, asked.token), *(line(asked) for line in lines)]
        return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", b""]) + body

    return respond


def _line(name: bytes) -> Callable[[Asked], bytes]:
    return lambda asked: name + b": " + asked.echo[:600]


#: What a service answers that repeats whatever it was told.
ECHOES: Final[dict[str, Answer]] = {
    **{f"envelope-{status}": _json(status, _details) for status in (200, 400, 401, 404, 429, 500)},
    "flat": _json(422, lambda asked: {"error": asked.echo.decode()}),
    "text": lambda asked: answer(418, asked.echo),
    "pieces": lambda asked: answer(418, b" ".join(asked.token[i:] for i in range(2))),
    "cut short": lambda asked: answer(418, b"x" * 50 + asked.token)[: -len(asked.token) // 3],
    "without an end": lambda asked: answer(503, b"x" * 50 + asked.token, length=False)[:-3],
    "over the excerpt": lambda asked: answer(418, b"x" * 180 + asked.token),
    "over the message": lambda asked: answer(418, b"x" * 470 + asked.token),
    "headers": _head(403, _line(b"Retry-After"), _line(b"WWW-Authenticate"), _line(b"Set-Cookie"), body=b"no"),
    "encoding": _head(200, lambda asked: b"Content-Encoding: " + asked.token, body=b"{}"),
    "redirect": _head(307, _line(b"Location")),
    "no header": _head(200, lambda asked: b"Authorization Bearer " + asked.token),
    "no status": lambda asked: b"Bearer " + asked.token + b"\r\n\r\n",
    "no length": _head(200, lambda asked: b"Content-Length: " + asked.token),
    "no chunk": lambda asked: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + asked.token + b"\r\n" + asked.echo + b"\r\n"
    ),
    "transfer": _head(200, lambda asked: b"Transfer-Encoding: " + asked.token),
    "no JSON": lambda asked: answer(200, b'{"reason": ' + asked.echo),
    "no market": lambda asked: answer(200, b'{"book_price_decimals": "' + asked.token + b'", "x": "' + asked.echo),
    "accept": _head(
        101, lambda asked: b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + asked.token
    ),
    "upgrade": _head(101, lambda asked: b"Upgrade: " + asked.token),
}
#: What it says once hands are shaken.
FRAMES: Final[dict[str, Callable[[Asked], bytes]]] = {
    "close": lambda asked: frame(CLOSE, b"\x0f\xa1" + b"told " + asked.token),
    "close, cut short": lambda asked: frame(CLOSE, b"\x0f\xa1" + (b"x" * 90 + asked.token)[:120]),
    "close, no text": lambda asked: frame(CLOSE, b"\x0f\xa1" + asked.token + b"\xff"),
    "undecodable": lambda asked: frame(TEXT, b'{"Created": ' + asked.echo),
    "undecodable, cut": lambda asked: frame(TEXT, b"x" * 100 + asked.token + b"x" * 100),
    "wrong key": lambda asked: frame(
        TEXT, json.dumps({"Created": {asked.token.decode(): asked.token.decode()}}).encode()
    ),
    "binary": lambda asked: frame(2, asked.token),
    "no text": lambda asked: frame(TEXT, asked.token + b"\xff"),
    "ping": lambda asked: frame(PING, asked.token) + frame(CLOSE, b"\x0f\xa1"),
    "no frame": lambda asked: b"\xff" + asked.token,
}
#: And what it does without a word of what it was told.
SILENT: Final[dict[str, Answer | None]] = {
    "closes": lambda asked: b"",
    "breaks off": lambda asked: answer(200, b"{}")[:-1],
    "never answers": None,
    "refuses": lambda asked: answer(401, b"no"),
    "answers too much": lambda asked: answer(200, b"x" * 200_000),
}


class Service:
    """A service that signs users in, and then does one thing wrong."""

    def __init__(self, token: str, wrong: Answer | None, then: Callable[[Asked], bytes] | None, where: str) -> None:
        self.issued: set[str] = set()
        self.signatures: set[bytes] = set()
        self._token = token
        self._wrong = wrong
        self._then = then
        self._where = where

    async def __call__(self, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while (asked := await self._read(stream)) is not None:
                if asked.upgrades and self._then is not None:
                    await self._talk(stream, asked)
                    return
                respond = self._answer(asked)
                if respond is None:
                    await trio.sleep_forever()
                elif data := respond(asked):
                    await stream.send_all(data)
                if respond is self._wrong:
                    return

    async def _read(self, stream: trio.abc.Stream) -> Asked | None:
        received = await read_head(stream)
        if not received:
            return None
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        while length and len(body) < int(length[1]):
            body += await stream.receive_some()
        asked = Asked(head, body)
        if asked.signature:
            self.signatures.add(bytes(asked.signature))
        return asked

    def _answer(self, asked: Asked) -> Answer | None:
        path = asked.head.split()[1].decode()
        if self._where in path:
            return self._wrong
        if path.startswith("/nonce/"):
            return lambda _: answer(200, b'{"value":"123456789"}')
        if path == "/auth":
            return self._sign_in
        return (lambda _: answer(200, MARKET)) if path.startswith("/market/") else self._wrong

    def _sign_in(self, asked: Asked) -> bytes:
        token = f"{self._token}{len(self.issued)}"
        self.issued.add(token)
        return answer(200, json.dumps({"token": token, "expiry_ns": 2**62}).encode())

    async def _talk(self, stream: trio.abc.Stream, asked: Asked) -> None:
        assert self._then is not None
        key = re.search(rb"sec-websocket-key: (\S+)", asked.head, re.IGNORECASE)
        assert key is not None
        accept = generate_accept_token(key[1])
        head = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
        await stream.send_all(head % accept + self._then(asked))
        await trio.sleep(1)


class Audit:
    """Whatever was raised, logged or shown."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        self.errors: list[BaseException] = []

    async def of(self, call: Callable[[], Awaitable[object]]) -> None:
        try:
            self.told.add(repr(await call()))
        except Exception as exc:  # noqa: BLE001 - each is looked at
            self.errors.append(exc)
            self.told |= set(said_by(exc))


async def drive(audit: Audit, service: Service) -> None:
    """Use everything that sends a token or a signature."""
    options: Any = {
        "headers": {"X-Api-Key": HEADER},
        "timeout": 3.0,
        "jitter": lambda: 1.0,
        "max_message_size": 100_000,
    }
    user = User(KEY)
    async with (
        MemoryNetwork(handler=service) as network,
        OrderBookClient("http://x", default_user=user, connector=network, **options) as oms,
        MarketDataClient("http://x", default_user=user, connector=network, **options) as md,
    ):
        await audit.of(oms.get_user_orders)
        await audit.of(lambda: oms.create_limit_order(5, 1000, "Buy", asset_id=200, order_id="x"))
        await audit.of(lambda: oms.cancel_order("x", 200))
        await audit.of(md.get_trades)
        await audit.of(lambda: md.get_orderbook_snapshot(200))
        for restart in (None, RestartPolicy(max_restarts=1)):
            for stream in (oms.stream_orders(restart=restart), md.stream_finalized_trades(restart=restart)):
                async with stream:
                    with trio.move_on_after(20):
                        await audit.of(stream.wait_live)
                        for _ in range(3):
                            await audit.of(stream.receive)
                    audit.told |= {repr(stream), repr(vars(stream)), repr(stream.stats)}
        shown = [oms, md, user, oms._service, md._service, oms._service._http]
        shown += [*oms._service._sessions.values(), *md._service._sessions.values()]
        audit.told |= {repr(thing) for thing in shown} | {repr(vars(thing)) for thing in shown}


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    for name in ("", "tplus_trio", "httpx", "httpcore", "trio-websocket", "wsproto", "h11", "trio", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    return caplog.records


def ours(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    """Without what other packages' debugging says of what a service sent."""
    return [record for record in records if record.name.startswith("tplus_trio") or record.levelno > logging.DEBUG]


CASES = [(kind, name) for kind, names in (("answer", ECHOES), ("frame", FRAMES), ("silent", SILENT)) for name in names]


CASES += [("sign-in", name) for kind, name in CASES if kind != "frame"]


@pytest.mark.parametrize(("kind", "name", "token"), [(*case, TOKENS[n % 2]) for n, case in enumerate(CASES)])
async def test_nothing_secret_is_told(
    kind: str, name: str, token: str, autojump_clock: MockClock, records: list[logging.LogRecord]
) -> None:
    where = "/auth" if kind == "sign-in" else "-"
    if kind == "frame":
        service = Service(token, lambda _: answer(503, b"down"), FRAMES[name], where)
    else:
        service = Service(token, (ECHOES | SILENT)[name], None, where)
    audit = Audit()
    await drive(audit, service)
    assert len(audit.errors) > 4
    assert bool(service.issued) == (where == "-")
    assert service.signatures
    audit.told |= set(told_by_records(records if name in SILENT else ours(records)))
    assert_no_secret(audit.told, KEY, HEADER, *service.issued, *service.signatures)


# Keys and passwords


PASSWORD: Final = "pw-MARKED-geheim-1234567890-MARKED"
#: What is no key, though it holds one.
NO_KEYS: Final[list[Any]] = [
    KEY.hex() + "0",
    KEY.hex()[:-1] + "x",
    "0X" + KEY.hex(),
    KEY + b"!",
    KEY + KEY,
    KEY.hex() * 2,
    base64.b64encode(KEY),
    base64.b64encode(KEY).decode(),
    bytearray(KEY),
    memoryview(KEY),
    list(KEY),
    int.from_bytes(KEY, "big"),
]


def raised_by(call: Callable[[], object]) -> Iterator[str]:
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        call()
    return said_by(caught.value)


@pytest.mark.parametrize("key", NO_KEYS, ids=range(len(NO_KEYS)))
def test_no_key_shows_for_being_refused(key: Any, tmp_path: Path) -> None:
    users = UserManager(tmp_path)
    told: list[str] = []
    for call in (
        User,
        lambda key: users.add("alice", key, PASSWORD),
        lambda key: LocalUser("0" * 64, lambda: key).unlock(),
    ):
        told += raised_by(lambda call=call: call(key))  # type: ignore[misc]
    if isinstance(key, str):
        told += raised_by(lambda: encrypt_keyfile(cast("Any", key), PASSWORD))
    assert_no_secret(told, KEY, PASSWORD)
    assert str(int.from_bytes(KEY, "big")) not in "".join(told)


def test_no_password_shows_whatever_is_wrong_with_a_keyfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = UserManager(tmp_path)
    users.add("alice", KEY, PASSWORD)
    good = json.loads((tmp_path / "alice").read_text())
    monkeypatch.setenv("TPLUS_PASSWORD", PASSWORD + "!")
    told: list[str] = []
    for password in (PASSWORD + "!", PASSWORD + "\udcff", None):
        told += raised_by(users.load("alice", password).unlock)
    no_text: Any = PASSWORD.encode()
    told += raised_by(users.load("alice", no_text).unlock)
    told += raised_by(lambda: users.generate("bob", no_text))
    told += raised_by(lambda: users.generate("a/b", PASSWORD))
    told += raised_by(lambda: users.load("nobody", PASSWORD))
    for damage in (
        {"kdf": "scrypt"},
        {"mac": good["crypto"]["ciphertext"]},
        {"ciphertext": "AAAA"},
        {"cipherparams": {"iv": 5}},
    ):
        (tmp_path / "alice").write_text(json.dumps({"crypto": good["crypto"] | damage}))
        told += raised_by(users.load("alice", PASSWORD).unlock)
    (tmp_path / "alice").write_bytes(encrypt_keyfile(KEY + bytes(32), PASSWORD, iterations=1))
    told += raised_by(users.load("alice", PASSWORD).unlock)
    (tmp_path / "alice").write_bytes(encrypt_keyfile(KEY, PASSWORD, iterations=1))
    (tmp_path / "alice.pub").write_text("0" * 64)
    told += raised_by(users.load("alice", PASSWORD).unlock)
    assert_no_secret(told, KEY, PASSWORD)


def test_no_password_shows_where_nothing_can_be_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = UserManager(tmp_path / "users")
    told: list[str] = []

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    for what in ("fsync", "link", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, what, full)
            told += raised_by(functools.partial(users.add, f"no {what}", KEY, PASSWORD))
    (tmp_path / "users").chmod(0o777)
    told += raised_by(lambda: users.add("open", KEY, PASSWORD))
    monkeypatch.setattr(sys, "stdin", Terminal())
    answers = iter((PASSWORD, PASSWORD + "!", PASSWORD))
    monkeypatch.setattr(getpass, "getpass", lambda _: next(answers))
    told += raised_by(lambda: users.generate("twice"))
    assert_no_secret(told, KEY, PASSWORD)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# Leaving in the middle


@pytest.mark.parametrize("leave", ["cancelled", "the body raises"])
@pytest.mark.parametrize("at", ["/nonce", "/auth", "/orders/create"])
async def test_nothing_shows_of_what_is_left_in_the_middle(
    leave: str, at: str, autojump_clock: MockClock, records: list[logging.LogRecord]
) -> None:
    service = Service(TOKENS[0], None, None, at)
    told: list[str] = []
    caught: list[BaseException] = []
    try:
        async with (
            MemoryNetwork(handler=service) as network,
            OrderBookClient("http://x", default_user=User(KEY), connector=network) as oms,
        ):
            async with trio.open_nursery() as nursery:

                async def order() -> None:
                    try:
                        await oms.create_limit_order(5, 1000, "Buy", asset_id=200, order_id="x")
                    except trio.Cancelled as exc:
                        told.extend(said_by(exc))
                        raise

                nursery.start_soon(order)
                await trio.testing.wait_all_tasks_blocked()
                if leave == "the body raises":
                    raise ZeroDivisionError  # noqa: TRY301 - as a body does
                nursery.cancel_scope.cancel()
            raise ZeroDivisionError  # noqa: TRY301 - as a body does
    except* ZeroDivisionError as group:
        caught.append(group)
    assert told
    told += [*said_by(caught[0]), *told_by_records(records)]
    assert_no_secret(told, KEY, *service.issued, *service.signatures)


# The command line


def test_the_command_line_tells_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "encrypt_keyfile", functools.partial(encrypt_keyfile, iterations=1))
    folder = tmp_path / ".tplus" / "users"
    users = UserManager(folder)
    users.add("alice", KEY, PASSWORD)
    users.add("bob", KEY, PASSWORD + "!")
    users.add("damaged", KEY, PASSWORD)
    (folder / "damaged").write_text((folder / "damaged").read_text().replace("pbkdf2", "pbkdf3"))
    users.add("other", KEY, PASSWORD)
    (folder / "other.pub").write_text("0" * 64)
    users.add("carol", KEY, PASSWORD)
    service = Service(TOKENS[1], ECHOES["envelope-401"], None, "-")
    failures: list[str] = []

    async def main() -> None:
        async with listening(service) as port:
            script = "import sys; from tplus_trio.cli import main; [print(main(a.split())) for a in sys.argv[1:]]"
            stream = f"stream orders --url http://127.0.0.1:{port} --user"
            calls = [
                f"{stream} {name}" for name in ("alice", "bob", "damaged", "other", "nobody", f"../{PASSWORD[:5]}")
            ]
            calls += [f"stream orders --url http://a:b@127.0.0.1:{port} --user carol"]
            environment = {**os.environ, "HOME": str(tmp_path), "TPLUS_PASSWORD": PASSWORD}
            with trio.fail_after(30):
                done = await trio.run_process(
                    [sys.executable, "-X", "dev", "-c", script, *calls],
                    capture_stdout=True,
                    capture_stderr=True,
                    env=environment,
                )
            assert done.stdout.split() == [b"1"] * len(calls), done
            failures.extend((done.stderr.decode(), done.stdout.decode()))

    trio.run(main)
    assert service.issued
    assert failures[0].count("tplus-trio: ") == 7
    assert_no_secret(failures, KEY, PASSWORD, *service.issued, *service.signatures)
