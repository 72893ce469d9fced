"""Commands about orders as processes: at a terminal, without one, and with an output that is closed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from tests.helpers.commands import PATIENCE
from tplus_trio import User, UserManager
from tplus_trio.cli.failure import INTERRUPTED, USAGE
from tplus_trio.testing import Exchange, serve

PASSWORD = "a password nobody guesses"


@attrs.frozen
class Ended:
    status: int
    out: str
    err: str


@attrs.frozen
class Shell:
    """An exchange over TCP with the market 200, and a stored user, alice, who is the default of the settings."""

    exchange: Exchange
    environment: dict[str, str]
    user: User

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tplus_trio", *arguments]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen(command, env=self.environment, **streams)

    async def run(self, *arguments: str, **streams: Any) -> Ended:
        """Run a command to its end."""
        process = self.start(*arguments, **{"stdin": subprocess.DEVNULL, **streams})
        return await self.end(process)

    async def end(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for the end of a process. The exchange goes on meanwhile."""
        with trio.fail_after(PATIENCE):
            out, err = await trio.to_thread.run_sync(process.communicate)
        return Ended(process.returncode, (out or b"").decode(), (err or b"").decode())


@pytest.fixture
async def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shell]:
    monkeypatch.setenv("TPLUS_PASSWORD", PASSWORD)
    user = await trio.to_thread.run_sync(UserManager(tmp_path / ".tplus" / "users").generate, "alice")
    exchange = Exchange()
    exchange.add_market(200)
    async with serve(exchange) as url:
        environment = {**os.environ, "HOME": str(tmp_path), "TPLUS_URL": url, "TPLUS_USER": "alice"}
        yield Shell(exchange, environment, user)


def read_until(descriptor: int, text: str) -> str:
    """Read from a terminal until it has shown a text."""
    found = ""
    while text not in found:
        found += os.read(descriptor, 1024).decode()
    return found


@pytest.mark.parametrize(
    "arguments",
    ["create 200 buy 0.005 --price 9", "cancel mine 200", "replace mine 200 --price 9", "cancel-all"],
)
async def test_no_terminal(shell: Shell, arguments: str) -> None:
    ended = await shell.run("order", *arguments.split())
    assert (ended.status, ended.out, sum(shell.exchange.requests.values())) == (USAGE, "", 0)
    assert "no terminal to ask at, and nothing was sent; --yes sends without asking" in ended.err
    assert ended.err.count("\n") == 1


async def test_without_asking(shell: Shell) -> None:
    ended = await shell.run("order", "create", "200", "buy", "0.005", "--price", "9.00", "--id", "mine", "--yes")
    assert (ended.status, ended.out) == (
        0,
        "create of order 'mine' in market 200: the exchange took the request; Open, 0.000 of 0.005 filled\n",
    )
    ended = await shell.run("order", "cancel-all", "--yes", "--json")
    assert json.loads(ended.out)["fate"] == "done"
    everything = await shell.run("order", "list", "--all")
    assert [line.split()[:6] for line in everything.out.splitlines()[1:]] == [
        ["mine", "200", "Buy", "Cancelled", "9.00", "0.005"]
    ]
    assert PASSWORD not in ended.out + ended.err


@pytest.mark.parametrize(("answer", "status", "orders"), [("y", 0, 1), ("yes", 0, 1), ("n", 1, 0), ("", 1, 0)])
async def test_it_asks(shell: Shell, answer: str, status: int, orders: int) -> None:
    control, terminal = pty.openpty()
    try:
        process = shell.start("order", "create", "200", "buy", "0.005", "--price", "9", stdin=terminal, stderr=terminal)
        shown = await trio.to_thread.run_sync(read_until, control, "Create this order? [y/N] ")
        assert "9.00 (900 units of 0.01)" in shown
        assert shell.exchange.answers == ()
        os.write(control, f"{answer}\n".encode())
        ended = await shell.end(process)
    finally:
        os.close(control)
        os.close(terminal)
    assert ended.status == status
    assert ("took the request" in ended.out) is bool(orders)
    assert len(shell.exchange.resting(shell.user)) == orders


async def test_ctrl_c_at_the_question(shell: Shell) -> None:
    control, terminal = pty.openpty()
    try:
        process = shell.start("order", "create", "200", "buy", "0.005", "--price", "9", stdin=terminal, stderr=terminal)
        await trio.to_thread.run_sync(read_until, control, "[y/N] ")
        process.send_signal(signal.SIGINT)
        ended = await shell.end(process)
        rest = os.read(control, 1024).decode()
    finally:
        os.close(control)
        os.close(terminal)
    assert (ended.status, ended.out, rest.strip()) == (INTERRUPTED, "", "")
    assert shell.exchange.answers == ()


async def test_ctrl_c_while_it_is_sent(shell: Shell) -> None:
    shell.exchange.faults.hold_requests(0.5, path="/orders/create")
    process = shell.start("order", "create", "200", "buy", "0.005", "--price", "9", "--id", "mine", "--yes", "--json")
    while not any(effect for effect in (shell.exchange.next_due_ns,) if effect):  # noqa: ASYNC110 - no such event
        await trio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    ended = await shell.end(process)
    assert ended.status == INTERRUPTED
    assert json.loads(ended.out)["fate"] == "taken_back"
    assert shell.exchange.resting(shell.user) == ()


async def test_a_closed_output_loses_no_fate(shell: Shell) -> None:
    """The fate goes to standard error then, and the exit status is that of the order."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    arguments = ("order", "create", "200", "buy", "0.005", "--price", "9", "--id", "mine", "--yes")
    ended = await shell.run(*arguments, stdout=write_end)
    os.close(write_end)
    assert ended.status == 0
    assert "create of order 'mine' in market 200: the exchange took the request" in ended.err
    assert len(shell.exchange.resting(shell.user)) == 1
