"""A user manager stores users in a folder that only the owner can read."""

from __future__ import annotations

import functools
import getpass
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.keys import BAD_PASSWORD, OTHER, PASSWORD, PUBLIC, SEED, SIGNATURE_OF_NOTHING, shown
from tplus_trio.errors import KeyfileError
from tplus_trio.users import (
    User,
    UserManager,
    load_user,
    manager,
    user_manager,
)
from tplus_trio.users.keyfile import decrypt_keyfile, encrypt_keyfile


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "encrypt_keyfile", functools.partial(encrypt_keyfile, iterations=1))


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap: None) -> UserManager:
    monkeypatch.delenv("TPLUS_PASSWORD", raising=False)
    return UserManager(tmp_path / "a" / "users")


class Terminal:
    """Stands for a terminal at which somebody types answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
        self.asked: list[str] = []
        self._answers: Iterator[str] = iter(answers)
        monkeypatch.setattr(sys, "stdin", self)
        monkeypatch.setattr(getpass, "getpass", self._ask)

    def isatty(self) -> bool:
        return True

    def _ask(self, prompt: str) -> str:
        self.asked.append(prompt)
        return next(self._answers)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestUserManager:
    def test_stores_and_loads(self, users: UserManager) -> None:
        alice = users.generate("alice", "pw")
        bob = users.add("bob", SEED.hex(), "pw")
        assert (alice.locked, bob.public_key) == (False, PUBLIC)
        assert users.usernames == ("alice", "bob")
        assert users.users == (alice, bob)
        loaded = users.load("alice", "pw")
        assert loaded == alice
        assert loaded.locked
        assert loaded.sign("x") == alice.sign("x")
        assert (users.folder / "bob.pub").read_text() == PUBLIC + "\n"
        assert decrypt_keyfile((users.folder / "bob").read_bytes(), "pw") == SEED

    def test_no_other_user_may_read(self, users: UserManager) -> None:
        before = os.umask(0)
        try:
            users.generate("alice", "pw")
        finally:
            os.umask(before)
        assert mode_of(users.folder) == 0o700
        assert {path.name: mode_of(path) for path in users.folder.iterdir()} == {
            "alice": 0o600,
            "alice.pub": 0o600,
        }

    def test_a_folder_that_others_may_read_is_closed(self, users: UserManager) -> None:
        users.folder.mkdir(parents=True)
        users.folder.chmod(0o755)
        assert users.usernames == ()
        assert mode_of(users.folder) == 0o755
        users.generate("alice", "pw")
        assert mode_of(users.folder) == 0o700

    def test_a_folder_that_everybody_may_write_to_is_refused(self, users: UserManager) -> None:
        users.folder.mkdir(parents=True)
        users.folder.chmod(0o1777)
        with pytest.raises(ValueError, match="everybody may write"):
            users.generate("alice", "pw")
        assert mode_of(users.folder) == 0o1777
        assert list(users.folder.iterdir()) == []

    def test_never_over_an_existing_user(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
        users.add("alice", SEED, "pw")
        before = {path: path.read_bytes() for path in users.folder.iterdir()}
        terminal = Terminal(monkeypatch)
        with pytest.raises(ValueError, match=r"'alice' in .* already"):
            users.generate("alice")
        with pytest.raises(ValueError, match=r"'alice' in .* already"):
            users.add("alice", OTHER)
        assert {path: path.read_bytes() for path in users.folder.iterdir()} == before
        assert terminal.asked == []

    def test_of_two_concurrent_stores_one_wins(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
        ready = threading.Barrier(4)

        def seen_by_none(path: Path) -> bool:  # each checks the name before any of them writes
            ready.wait(5)
            return False

        monkeypatch.setattr(os.path, "lexists", seen_by_none)
        won: list[User] = []
        lost: list[ValueError] = []

        def generate() -> None:
            try:
                won.append(users.generate("alice", "pw"))
            except ValueError as error:
                lost.append(error)

        threads = [threading.Thread(target=generate) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        monkeypatch.undo()
        assert (len(won), len(lost)) == (1, 3)
        loaded = users.load("alice", "pw")
        loaded.unlock()
        assert loaded == won[0]
        assert sorted(path.name for path in users.folder.iterdir()) == ["alice", "alice.pub"]

    def test_a_user_is_stored_completely_or_not_at_all(
        self, users: UserManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int) -> None:
            raise OSError("no space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="no space"):
                users.generate("alice", "pw")
        assert list(users.folder.iterdir()) == []
        users.generate("alice", "pw")

    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "/etc/passwd",
            "../x",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\x7fb",
            "a\x85b",
            "a.pub",
            "é" * 126,
            "\ud800",
        ],
    )
    def test_a_name_is_never_a_path(self, users: UserManager, name: str) -> None:
        users.generate("alice", "pw")
        calls: list[Callable[[], object]] = [
            lambda: users.generate(name, "pw"),
            lambda: users.add(name, SEED, "pw"),
            lambda: users.load(name, "pw"),
            lambda: users.set_default(name),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=r"not a user name .*1 to 251 bytes"):
                call()
        assert len(list(users.folder.iterdir())) == 2

    @pytest.mark.parametrize("name", ["a", "a.b", "-rf", "two words", "naïve", "a" * 251, "pub"])
    def test_legal_names(self, users: UserManager, name: str) -> None:
        user = users.generate(name, "pw")
        assert users.usernames == (name,)
        assert users.load(name, "pw").sign("x") == user.sign("x")

    def test_a_name_is_a_str(self, users: UserManager) -> None:
        number: Any = 5
        with pytest.raises(TypeError):
            users.load(number)

    def test_files_that_are_no_users_are_not_listed(self, users: UserManager) -> None:
        users.generate("alice", "pw")
        (users.folder / ".temporary").touch()
        (users.folder / "folder").mkdir()
        (users.folder / "bob.pub").touch()
        assert users.usernames == ("alice",)
        with pytest.raises(ValueError, match=r"no user 'folder' in .*stored: alice"):
            users.load("folder")

    def test_links_are_not_followed(self, users: UserManager, tmp_path: Path) -> None:
        outside = UserManager(tmp_path / "outside")
        outside.add("mallory", SEED, "pw")
        users.generate("alice", "pw")
        (users.folder / "linked").symlink_to(outside.folder / "mallory")
        (users.folder / "dangling").symlink_to(outside.folder / "new")
        assert users.usernames == ("alice",)
        with pytest.raises(ValueError, match="no user 'linked'"):
            users.load("linked", "pw")
        with pytest.raises(ValueError, match="already"):
            users.generate("dangling", "pw")
        (users.folder / "alice.pub").unlink()
        (users.folder / "alice.pub").symlink_to(outside.folder / "mallory.pub")
        with pytest.raises(KeyfileError, match="not a regular file"):
            users.load("alice", "pw")
        (users.folder / "bob.pub").symlink_to(outside.folder / "victim")
        users.generate("bob", "pw")
        assert sorted(outside.usernames) == ["mallory"]
        assert not (outside.folder / "victim").exists()

    def test_a_link_that_takes_the_files_place_is_not_followed(self, users: UserManager, tmp_path: Path) -> None:
        users.add("alice", SEED, "pw")
        user = users.load("alice", "pw")
        moved = (users.folder / "alice").rename(tmp_path / "moved")
        (users.folder / "alice").symlink_to(moved)
        with pytest.raises(KeyfileError, match="not a regular file"):
            user.unlock()

    def test_without_its_public_key_it_is_decrypted_now(
        self, users: UserManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        users.add("alice", SEED, "pw")
        public = users.folder / "alice.pub"
        public.unlink()
        with pytest.raises(KeyfileError, match=r"user 'alice': .*password is wrong"):
            users.load("alice", "wrong")
        assert not public.exists()
        with monkeypatch.context() as patched:

            def read_only(descriptor: int) -> None:
                raise OSError("read-only file system")

            patched.setattr(os, "fsync", read_only)
            assert users.load("alice", "pw").public_key == PUBLIC
        assert not public.exists()
        assert users.load("alice", "pw").public_key == PUBLIC
        assert public.read_text() == PUBLIC + "\n"
        assert users.load("alice", "wrong").locked

    def test_a_public_key_of_somebody_else(self, users: UserManager) -> None:
        users.add("alice", SEED, "pw")
        (users.folder / "alice.pub").write_text(User(OTHER).public_key)
        with pytest.raises(ValueError, match="does not belong"):
            users.load("alice", "pw").sign("x")
        for damaged in (b"", PUBLIC.encode()[:-2], b"\xff" * 64):
            (users.folder / "alice.pub").write_bytes(damaged)
            with pytest.raises(KeyfileError, match=r"alice\.pub"):
                users.load("alice", "pw")

    def test_default(self, users: UserManager) -> None:
        assert users.load_default() is None
        alice = users.generate("alice", "pw")
        assert users.load_default("pw") == alice
        bob = users.generate("bob", "pw")
        assert users.load_default("pw") is None
        users.set_default("bob")
        assert users.load_default("pw") == bob
        users.set_default("carol")
        with pytest.raises(ValueError, match=r"'carol'.*stored: alice, bob"):
            users.load_default("pw")


class TestPassword:
    def test_argument_then_environment(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
        users.add("alice", SEED, "argument")
        monkeypatch.setenv("TPLUS_PASSWORD", "environment")
        users.add("bob", OTHER)
        assert users.load("alice", "argument").sign("").hex() == SIGNATURE_OF_NOTHING
        users.load("bob").unlock()
        with pytest.raises(KeyfileError, match="password is wrong"):
            users.load("alice").unlock()

    def test_looked_for_when_needed_only(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
        users.add("alice", SEED, "pw")
        terminal = Terminal(monkeypatch, "wrong", "pw")
        user = users.load("alice")
        assert terminal.asked == []
        with pytest.raises(KeyfileError):
            user.unlock()
        assert user.sign("").hex() == SIGNATURE_OF_NOTHING
        user.sign("x")
        assert terminal.asked == ["Password of alice: "] * 2

    def test_a_new_one_is_typed_twice(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = Terminal(monkeypatch, "one", "other", "", "same", "same")
        for complaint in ("differ", "empty"):
            with pytest.raises(ValueError, match=complaint):
                users.generate("alice")
        assert users.usernames == ()
        users.generate("alice")
        assert len(terminal.asked) == 5
        users.load("alice", "same").unlock()

    def test_without_a_terminal_a_missing_password_is_an_error(
        self, users: UserManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        users.add("alice", SEED, "pw")

        def never(prompt: str) -> str:
            pytest.fail("asked without a terminal")

        monkeypatch.setattr(getpass, "getpass", never)
        monkeypatch.setenv("TPLUS_PASSWORD", "")
        with Path(os.devnull).open() as nothing:
            for stdin in (nothing, None):
                monkeypatch.setattr(sys, "stdin", stdin)
                calls: list[Callable[[], object]] = [
                    users.load("alice").unlock,
                    lambda: users.generate("bob"),
                ]
                for call in calls:
                    with pytest.raises(ValueError, match="TPLUS_PASSWORD"):
                        call()

    def test_in_no_error_and_no_repr(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TPLUS_PASSWORD", BAD_PASSWORD)
        with pytest.raises(ValueError, match="UTF-8") as caught:
            users.generate("alice")
        assert "geheim" not in shown(caught.value)
        users.add("bob", SEED, PASSWORD)
        user = users.load("bob", PASSWORD)
        assert "geheim" not in repr(user) + repr(vars(user)) + repr(vars(users))


class TestLoadUser:
    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap: None) -> Path:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("TPLUS_PASSWORD", "pw")
        return tmp_path

    def test_the_home_folder_is_looked_up_at_use(self, home: Path) -> None:
        with pytest.raises(ValueError, match="none is stored"):
            load_user()
        assert list(home.iterdir()) == []
        alice = user_manager.generate("alice")
        assert (home / ".tplus" / "users" / "alice").is_file()
        assert load_user() == load_user("alice") == alice

    def test_several_and_none_named(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        alice, bob = user_manager.generate("alice"), user_manager.generate("bob")
        with pytest.raises(ValueError, match="stored: alice, bob"):
            load_user()
        assert [load_user("alice"), load_user("bob", "pw")] == [alice, bob]
        with pytest.raises(ValueError, match="no user 'carol'"):
            load_user("carol")
        with pytest.raises(ValueError, match="not a user name"):
            load_user("")
        monkeypatch.setattr(user_manager, "_default", None)  # restored at the end
        user_manager.set_default("bob")
        assert load_user() == bob


def test_the_error_for_an_illegal_key_names_its_kind() -> None:
    makers: tuple[Callable[[Any], object], ...] = (User, lambda key: UserManager().add("a", key))
    for make in makers:
        with pytest.raises(TypeError, match=r"not int$"):
            make(1)
