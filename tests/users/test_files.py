"""Keyfiles on a disk that fails and beside other processes: what remains, and what others could read."""

from __future__ import annotations

import functools
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tplus_trio.users import UserManager, manager
from tplus_trio.users.keyfile import encrypt_keyfile


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserManager:
    monkeypatch.setattr(manager, "encrypt_keyfile", functools.partial(encrypt_keyfile, iterations=1))
    return UserManager(tmp_path / ".tplus" / "users")


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*")}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_modes_are_the_same_under_any_umask(umask: int, users: UserManager, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        users.generate("alice", "pw")
    finally:
        os.umask(before)
    files = {".tplus/users/alice": 0o600, ".tplus/users/alice.pub": 0o600}
    assert modes(tmp_path) == {".tplus": 0o700, ".tplus/users": 0o700, **files}


def test_no_other_user_can_read_a_file_while_it_is_written(users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    sync = os.fsync

    def look(descriptor: int) -> None:
        seen.extend(mode for name, mode in modes(users.folder).items() if name.startswith("."))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(0)
    try:
        users.generate("alice", "pw")
    finally:
        os.umask(before)
    assert set(seen) == {0o600}


@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("what", ["fsync", "link", "replace"])
def test_nothing_half_written_is_left(
    what: str, error: BaseException, users: UserManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, what, fail)
        with pytest.raises(type(error)):
            users.generate("alice", "pw")
    assert list(users.folder.iterdir()) == []
    users.generate("alice", "pw")  # the name is free


def test_a_folder_may_be_a_link_of_its_owners(users: UserManager, tmp_path: Path) -> None:
    """Its owner may put the folder elsewhere. The target has to meet the same conditions."""
    (tmp_path / ".tplus").mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    users.folder.symlink_to(tmp_path / "elsewhere")
    users.generate("alice", "pw")
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o700
    (tmp_path / "elsewhere").chmod(0o777)
    with pytest.raises(ValueError, match="everybody may write"):
        users.generate("bob", "pw")


@pytest.mark.parametrize("name", ["a\u2028b", "a\u2029", "\r", "a\tb", "\x1b[2J"])
def test_a_name_is_one_line(name: str, users: UserManager) -> None:
    with pytest.raises(ValueError, match="not a user name") as caught:
        users.generate(name, "pw")
    assert len(str(caught.value).splitlines()) == 1


def test_names_that_look_alike_are_others(users: UserManager) -> None:
    """The disk compares bytes, and so does this package."""
    alike = ["alice", "alice ", "аlice", "é", "e\u0301"]  # noqa: RUF001 - a Cyrillic letter
    for name in alike:
        users.generate(name, name)
    assert sorted(users.usernames) == sorted(alike)
    assert len({users.load(name, name).sign("x") for name in alike}) == len(alike)
