"""Keyfiles on unusual disks and in unusual home folders, and questions at a terminal."""

from __future__ import annotations

import errno
import logging
import os
import pty
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tplus_trio import KeyfileError, User, UserManager, load_user
from tplus_trio.cli import main
from tplus_trio.users import files, manager
from tplus_trio.users.keyfile import encrypt_keyfile


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    def encrypt(private_key: bytes, password: str) -> bytes:
        return encrypt_keyfile(private_key, password, iterations=1)

    monkeypatch.setattr(manager, "encrypt_keyfile", encrypt)


@pytest.fixture
def users(tmp_path: Path) -> UserManager:
    return UserManager(tmp_path / "users")


def without_hard_links(*_: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


class TestStoring:
    @pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
    def test_a_file_system_without_hard_links(
        self, users: UserManager, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "link", refuse)
        user = users.generate("alice", "pw")
        assert users.load("alice", "pw") == user
        assert (users.folder / "alice").stat().st_mode & 0o777 == 0o600
        with pytest.raises(ValueError, match="there is a user 'alice'"):
            users.generate("alice", "pw")
        users.load("alice", "pw").unlock()
        assert sorted(os.listdir(users.folder)) == ["alice", "alice.pub"]  # noqa: PTH208 - names

    @pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
    @pytest.mark.parametrize("what", ["fsync", "replace", "write", "mkstemp", "open"])
    def test_a_full_disk_at_any_step(
        self, users: UserManager, monkeypatch: pytest.MonkeyPatch, what: str, links: bool
    ) -> None:
        if not links:
            monkeypatch.setattr(os, "link", without_hard_links)
        failed = 0
        for step in range(1, 12):
            name = f"user{step}"
            with monkeypatch.context() as patched:
                fail_at(patched, what, step)
                try:
                    users.generate(name, "pw")
                except OSError as error:
                    assert error.errno == errno.ENOSPC  # noqa: PT017 - not each step fails
                    failed += 1
                    left = [name for name in os.listdir(users.folder) if step_of(name) == step or name[0] == "."]  # noqa: PTH208 - names
                    assert left == []
                    assert name not in users.usernames
            with suppress(ValueError):
                users.generate(name, "pw")  # the name is free, or the user is stored
            users.load(name, "pw").unlock()
        assert failed or (what, links) == ("open", True)

    def test_an_interrupt_between_the_two_files(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(files, "put_over", interrupt)
            with pytest.raises(KeyboardInterrupt):
                users.generate("alice", "pw")
        assert users.usernames == ()
        users.generate("alice", "pw")


def step_of(name: str) -> int:
    return int("".join(filter(str.isdigit, name)) or 0)


def fail_at(patched: pytest.MonkeyPatch, what: str, step: int) -> None:
    """Let the disk be full when a function is called."""
    calls = [0]

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] == step:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*args, **options)

        return call

    if what == "mkstemp":
        patched.setattr(tempfile, "mkstemp", wrap(tempfile.mkstemp))
    elif what == "write":
        patched.setattr(os, "fdopen", wrap(os.fdopen))
    else:
        patched.setattr(os, what, wrap(getattr(os, what)))


class TestHomes:
    @pytest.fixture
    def no_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(path: Path) -> Path:
            raise RuntimeError("Could not determine home directory.")  # the message of pathlib without HOME and passwd

        monkeypatch.setattr(Path, "expanduser", fail)

    @pytest.mark.usefixtures("no_home")
    @pytest.mark.parametrize(
        "call",
        [
            lambda: load_user("alice"),
            load_user,
            lambda: UserManager().generate("alice", "pw"),
            lambda: UserManager().usernames,
            lambda: UserManager().folder,
        ],
    )
    def test_no_home(self, call: Callable[[], object]) -> None:
        with pytest.raises(KeyfileError, match=r"there is no home folder for ~/\.tplus/users: set HOME"):
            call()

    @pytest.mark.usefixtures("no_home")
    def test_no_home_on_the_command_line(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert main(["stream", "orders", "--user", "alice"]) == 1
        assert capfd.readouterr().err.startswith("tplus-trio: --user: there is no home folder")

    def test_a_folder_that_cannot_be_read(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
        users.generate("alice", "pw")

        def refuse(*_: object, **__: object) -> Any:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        with monkeypatch.context() as patched:
            patched.setattr(os, "scandir", refuse)
            with pytest.raises(KeyfileError, match=r"cannot read .*users: Permission denied"):
                _ = users.usernames
        with monkeypatch.context() as patched:
            patched.setattr(Path, "lstat", refuse)
            with pytest.raises(KeyfileError, match=r"cannot read .*alice: Permission denied"):
                users.load("alice")
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", refuse)
            with pytest.raises(KeyfileError, match=r"cannot read .*alice.pub: Permission denied"):
                users.load("alice")

    def test_an_unknown_user(self, users: UserManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(ValueError, match="no user") as caught:
            load_user("alice")
        assert str(caught.value) == (
            "no user 'alice' in ~/.tplus/users; create one with UserManager().generate('alice')"
        )
        users.generate("bob", "pw")
        with pytest.raises(ValueError, match="no user") as caught:
            users.load("alice")
        assert str(caught.value) == (
            f"no user 'alice' in {users.folder}; stored: bob; "
            f"create one with UserManager('{users.folder}').generate('alice')"
        )


class TestReading:
    @pytest.mark.parametrize("name", ["alice.pub", "alice"])
    def test_a_byte_order_mark(self, users: UserManager, name: str) -> None:
        user = users.generate("alice", "pw")
        path = users.folder / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        loaded = users.load("alice", "pw")
        loaded.unlock()
        assert loaded == user

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
    def test_a_key_that_others_may_read(self, users: UserManager, caplog: pytest.LogCaptureFixture, mode: int) -> None:
        users.generate("alice", "pw")
        users.load("alice", "pw")
        assert caplog.records == []
        path = users.folder / "alice"
        path.chmod(mode)
        users.load("alice", "pw")
        assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
            (logging.WARNING, f"permissions {mode:04o} for {path} are too open; close the keyfile with chmod 600")
        ]


PROGRAM = """
import os, sys, trio
from tplus_trio import OrderBookClient, UserManager
from tplus_trio.testing import Exchange, MemoryNetwork

async def main():
    user = UserManager(sys.argv[1]).load("alice")
    if sys.argv[2] == "plain":
        user.unlock()
    async with MemoryNetwork(Exchange()) as network:
        async with OrderBookClient(network.url, connector=network, default_user=user) as client:
            await client.get_user_orders()

try:
    trio.run(main)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    if sys.argv[2] == "goes on":
        sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["plain", "thread", "goes on"])
def test_ctrl_c_at_the_question_gives_the_echo_back(users: UserManager, how: str) -> None:
    users.generate("alice", "pw")
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "TPLUS_PASSWORD"}
    process = subprocess.Popen(
        [sys.executable, "-c", TERMINAL + PROGRAM, str(users.folder), how],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=environment,
    )
    try:
        read_until(ours, b"Password of alice: ")
        assert not echoes(theirs)
        os.write(ours, b"\x03")
        read_until(ours, b"interrupted")
        if how == "goes on":
            assert echoes(theirs)
        else:
            process.wait(10)
        assert echoes(theirs)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


#: The child makes the pty its controlling terminal, so that Ctrl-C is a signal to it.
TERMINAL = "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"


def echoes(terminal: int) -> bool:
    flags: int = termios.tcgetattr(terminal)[3]
    return bool(flags & termios.ECHO)


def read_until(terminal: int, expected: bytes) -> None:
    seen, end = b"", time.monotonic() + 20
    while expected not in seen:
        assert time.monotonic() < end, seen
        seen += os.read(terminal, 1024)


def test_users_of_two_managers(users: UserManager) -> None:
    """Two managers use the same folder: the first to store a name keeps it."""
    other = UserManager(users.folder)
    assert isinstance(users.generate("alice", "pw"), User)
    with pytest.raises(ValueError, match="there is a user 'alice'"):
        other.generate("alice", "pw")
