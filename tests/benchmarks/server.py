"""The flood server: ``python -m tests.benchmarks.server --feed …``. Its cost is not measured.

It uses raw sockets and frames made beforehand. A WebSocket that connects gets the feed's first message. A request for
``/go`` sends the others: as fast as the sockets take them, or at a rate. ``/drop`` ends every WebSocket.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import selectors
import socket
import time
from contextlib import suppress

from .feeds import FEEDS, FIRST, FRESH, frames, snapshot, stamped

#: Bytes that a socket is given at a time.
_PIECE = 64 * 1024
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE, _PING = 0x8, 0x9


class _Peer:
    """One connection: HTTP until it requests a WebSocket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = b""
        self.is_feed = False

    def request(self) -> tuple[str, dict[str, str]] | None:
        """Take the next request, its path and its headers, if it has arrived completely."""
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = int(headers.get("content-length", 0))
        if len(rest) < body:
            return None
        self.received = rest[body:]
        return first.split()[1], headers

    def control(self) -> list[int]:
        """Return the opcodes of a client's control frames, which are short and masked."""
        opcodes = []
        while len(self.received) >= 6 + (self.received[1] & 0x7F if len(self.received) > 1 else 0):
            opcodes.append(self.received[0] & 0x0F)
            self.received = self.received[6 + (self.received[1] & 0x7F) :]
        return opcodes


class _Server:
    def __init__(self, feed: str, messages: int, rate: int) -> None:
        self._rate = rate
        self._messages = messages
        self._first = frames(feed, FIRST, 1)
        self._rest = memoryview(b"" if rate else frames(feed, FIRST + 1, messages))
        self._snapshot = snapshot()
        self._feeds: list[_Peer] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until the process is ended."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._selector.register(listener, selectors.EVENT_READ)
        print(listener.getsockname()[1], flush=True)
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    sock, _ = listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(sock, selectors.EVENT_READ, _Peer(sock))
                else:
                    try:
                        self._read(key.data)
                    except OSError:
                        self._forget(key.data)

    def _forget(self, peer: _Peer) -> None:
        self._selector.unregister(peer.socket)
        peer.socket.close()
        if peer in self._feeds:
            self._feeds.remove(peer)

    def _read(self, peer: _Peer) -> None:
        data = peer.socket.recv(65536)
        if not data:
            self._forget(peer)
            return
        peer.received += data
        if not peer.is_feed:
            while (request := peer.request()) is not None:
                self._answer(peer, *request)
            return
        for opcode in peer.control():
            if opcode == _PING:
                peer.socket.sendall(b"\x8a\x00")
            elif opcode == _CLOSE:
                peer.socket.sendall(b"\x88\x02\x03\xe8")
                self._forget(peer)
                return

    def _answer(self, peer: _Peer, path: str, headers: dict[str, str]) -> None:
        if (key := headers.get("sec-websocket-key")) is not None:
            accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            peer.socket.sendall(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            peer.socket.sendall(self._first)
            peer.is_feed = True
            self._feeds.append(peer)
            return
        if path.startswith("/marketdepth/"):
            body = self._snapshot
        elif path.startswith("/nonce/"):
            body = b'{"value":"nonce"}'
        elif path == "/auth":
            body = json.dumps({"token": "token", "expiry_ns": time.time_ns() + 3600 * 10**9}).encode()
        else:
            body = b"[]"
        if path == "/drop":
            for feed in self._feeds[:]:
                self._forget(feed)
        peer.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        if path == "/go":
            self._pace() if self._rate else self._flood()

    def _flood(self) -> None:
        """Send every feed's other frames, in turn, as fast as they are taken."""
        ready = selectors.DefaultSelector()
        sent = {}
        for feed in self._feeds:
            feed.socket.setblocking(False)
            ready.register(feed.socket, selectors.EVENT_WRITE, feed)
            sent[feed] = 0
        while sent:
            for key, _ in ready.select():
                feed = key.data
                try:
                    sent[feed] += feed.socket.send(self._rest[sent[feed] : sent[feed] + _PIECE])
                except BlockingIOError:
                    continue
                except OSError:
                    sent[feed] = len(self._rest)
                if sent[feed] == len(self._rest):
                    del sent[feed]
                    ready.unregister(feed.socket)
                    with suppress(OSError):
                        feed.socket.setblocking(True)
        ready.close()

    def _pace(self) -> None:
        """Send stamped messages at an even rate, to the feeds in turn."""
        start, sent = time.monotonic(), 0
        for number in range(1, self._messages + 1):
            for feed in self._feeds:
                wait = start + sent / self._rate - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                sent += 1
                feed.socket.sendall(stamped(FIRST + number, time.monotonic_ns()))


def main() -> None:
    """Serve as the command line says; the port is printed first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--feed", choices=sorted({*FEEDS, *FRESH}), default="depth 1+1")
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--rate", type=int, default=0)
    options = parser.parse_args()
    server = _Server(options.feed, options.messages, options.rate)
    with suppress(KeyboardInterrupt):
        server.run()


if __name__ == "__main__":
    main()
