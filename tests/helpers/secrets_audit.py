"""Shared parts of the secrets audits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs
import trio
from wsproto.utilities import generate_accept_token

from tests.helpers.peers import answer, read_head

KEY: Final = bytes(range(201, 233))


TOKENS: Final = ("eyMARKED0123456789abcdefghijklmnopqrstuvwxyzMARKED", "odd\"MARKED\\/<tok>'&%2541{}[],:;?=|MARKED~")


HEADER: Final = "header-MARKED-abcdefghijklmnopqrstuvwxyz-MARKED"


MARKET: Final = b'{"asset_id":"200","book_price_decimals":2,"book_quantity_decimals":3}'


@attrs.frozen
class Asked:
    """A request, with the secrets in it."""

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
        """Repeat all of it in one line, in several spellings."""
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


#: The answers of a service that repeats what it received.
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


class Service:
    """A service that signs users in, and then fails in one way."""

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
