"""No error shows a key or a password, whatever function refuses it."""

from __future__ import annotations

import base64
import functools
import getpass
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest
import trio

from tests.helpers.peers import listening
from tests.helpers.secrets_audit import ECHOES, KEY, TOKENS, Service
from tests.helpers.secrets_search import assert_no_secret, said_by
from tplus_trio import LocalUser, User, UserManager
from tplus_trio.users import manager
from tplus_trio.users.keyfile import encrypt_keyfile

PASSWORD: Final = "pw-MARKED-geheim-1234567890-MARKED"


#: Illegal keys that contain a key.
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
        told += raised_by(lambda call=call: call(key))  # type: ignore[misc]  # bound by the default
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
            assert done.stdout.split() == [*[b"1"] * (len(calls) - 1), b"2"], done
            failures.extend((done.stderr.decode(), done.stdout.decode()))

    trio.run(main)
    assert service.issued
    assert failures[0].count("tplus-trio: ") == 6
    assert failures[0].count("tplus-trio stream: ") == 1, "a URL is refused as an option"
    assert_no_secret(failures, KEY, PASSWORD, *service.issued, *service.signatures)
