"""``tplus-trio accounts``: users are stored, and no password and no private key is printed or named in an error."""

from __future__ import annotations

import io
import json
import os
import pty
import sys
from pathlib import Path

import pytest

from tests.helpers.commands_page import SAMPLES
from tplus_trio import User, UserManager
from tplus_trio.cli import main
from tplus_trio.cli.failure import FAILED, USAGE

PASSWORD = "a password nobody guesses"
SEED = "5e" * 32
PUBLIC = User(SEED).public_key


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> UserManager:
    """The users of this test; the password is in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TPLUS_PASSWORD", PASSWORD)
    return UserManager()


def run(capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Run a command; return what it printed, in which there is no secret."""
    assert main(["accounts", *arguments]) == status
    out, err = capfd.readouterr()
    assert PASSWORD not in out + err
    assert SEED not in (out + err).lower()
    assert (err == "") is (status == 0)
    assert err.count("\n") == (status != 0)
    return out or err


def test_generate(capfd: pytest.CaptureFixture[str], manager: UserManager) -> None:
    name, public_key = run(capfd, "generate", "alice").split()
    user = manager.load("alice", PASSWORD)
    user.unlock()
    assert (name, public_key) == ("alice", user.public_key)
    assert "there is a user 'alice'" in run(capfd, "generate", "alice", status=FAILED)
    assert manager.load("alice").public_key == public_key


def test_add_from_standard_input(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, manager: UserManager
) -> None:
    for name, text in (("bob", SEED), ("carol", f"  0x{SEED.upper()}\n"), ("dave", f"{SEED}{PUBLIC}\nmore\n")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert run(capfd, "add", name).split() == [name, PUBLIC]
    assert manager.usernames == ("bob", "carol", "dave")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no private key was given"),
        ("\n", "no private key was given"),
        (SEED[:-1], "64 (seed) or 128 (seed and public key) hexadecimal digits"),
        (f"{SEED[:-1]}x", "64 (seed) or 128 (seed and public key) hexadecimal digits"),
        (SEED * 2, "must be the public key of the first 32"),
        ("5e" * 5000, "hexadecimal digits"),
    ],
)
def test_a_key_that_is_none(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    manager: UserManager,
    text: str,
    problem: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    err = run(capfd, "add", "bob", status=FAILED)
    assert problem in err
    assert SEED[:-1] not in err
    assert manager.usernames == ()


@pytest.mark.parametrize("command", ["add", "generate"])
def test_a_key_in_the_command_line_is_not_repeated(
    capfd: pytest.CaptureFixture[str], manager: UserManager, command: str
) -> None:
    err = run(capfd, command, "bob", SEED, status=USAGE)
    assert "NAME is the only argument; a private key is read from a prompt or standard input" in err
    assert "--password" in run(capfd, command, "bob", f"--password={PASSWORD}", status=USAGE)
    assert manager.usernames == ()


def test_no_password(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, manager: UserManager) -> None:
    monkeypatch.delenv("TPLUS_PASSWORD")
    monkeypatch.setattr(sys, "stdin", io.StringIO(SEED))
    assert "set TPLUS_PASSWORD" in run(capfd, "add", "bob", status=FAILED)
    assert "set TPLUS_PASSWORD" in run(capfd, "generate", "bob", status=FAILED)
    assert manager.usernames == ()


@pytest.mark.parametrize("name", ["../x", "", ".x", "x.pub", "a\x1bb"])
def test_a_name_that_is_none(capfd: pytest.CaptureFixture[str], manager: UserManager, name: str) -> None:
    assert "not a user name" in run(capfd, "generate", name, status=FAILED)


def test_list_and_show(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, manager: UserManager
) -> None:
    assert "no stored users in" in run(capfd, "list")
    assert run(capfd, "list", "--json") == ""
    alice, bob = manager.generate("alice"), manager.generate("bob")
    monkeypatch.delenv("TPLUS_PASSWORD")  # they need none
    assert run(capfd, "list") == f"alice  {alice.public_key}\nbob    {bob.public_key}\n"
    assert run(capfd, "show", "bob").splitlines() == [f"bob  {bob.public_key}", str(manager.folder / "bob")]
    (row,) = map(json.loads, run(capfd, "show", "bob", "--json").splitlines())
    assert list(row) == list(SAMPLES["StoredUser"])
    assert row == {
        "kind": "StoredUser",
        "name": "bob",
        "public_key": bob.public_key,
        "file": str(manager.folder / "bob"),
        "problem": None,
    }
    assert "no user 'nobody'" in run(capfd, "show", "nobody", status=FAILED)


def test_a_public_key_that_cannot_be_read(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, manager: UserManager
) -> None:
    manager.generate("alice")
    manager.generate("bob")
    (manager.folder / "alice.pub").unlink()
    (manager.folder / "bob.pub").write_text("nonsense")
    monkeypatch.delenv("TPLUS_PASSWORD")
    first, second = run(capfd, "list").splitlines()
    assert first == "alice  not readable: there is no file alice.pub; the next sign-in writes it"
    assert "not a public key" in second


def test_at_a_terminal(tmp_path: Path) -> None:
    """The key and the password are asked for, and not shown."""
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("TPLUS_PASSWORD", None)
    process, control = pty.fork()
    if process == 0:  # the child has the terminal
        os.execve(sys.executable, [sys.executable, "-m", "tplus_trio", "accounts", "add", "bob"], environment)
    shown = b""
    try:
        for prompt, answer in (
            (b"Private key of bob, in hexadecimal digits: ", SEED),
            (b"New password for bob: ", PASSWORD),
            (b"Repeat the password: ", PASSWORD),
        ):
            while prompt not in shown:
                shown += os.read(control, 1024)
            os.write(control, f"{answer}\n".encode())
        while PUBLIC.encode() not in shown:
            shown += os.read(control, 1024)
    finally:
        _, status = os.waitpid(process, 0)
        os.close(control)
    assert status == 0
    assert SEED.encode() not in shown
    assert PASSWORD.encode() not in shown
    user = UserManager(tmp_path / ".tplus" / "users").load("bob", PASSWORD)
    user.unlock()
    assert user.public_key == PUBLIC


def test_a_user_of_another_command(manager: UserManager, capfd: pytest.CaptureFixture[str]) -> None:
    manager.generate("alice")
    assert main(["positions", "--user", "nobody"]) == FAILED
    err = capfd.readouterr().err
    assert "--user: no user 'nobody' in " in err
    assert "stored: alice; `tplus-trio accounts generate NAME` creates one" in err


def test_a_wrong_password(
    manager: UserManager, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    manager.generate("alice")
    monkeypatch.setenv("TPLUS_PASSWORD", "wrong and secret")
    assert main(["positions", "--user", "alice"]) == FAILED
    err = capfd.readouterr().err
    assert "the password is wrong" in err
    assert "wrong and secret" not in err
