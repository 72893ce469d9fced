"""Users, keyfiles and signatures of this package compared with the official client's."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tplus.utils.user import User as TheirUser
from tplus.utils.user import UserManager as TheirManager
from tplus.utils.user import ed_keyfile
from tplus.utils.user import manager as their_module

from tplus_trio.users import User, UserManager, manager
from tplus_trio.users.keyfile import decrypt_keyfile, encrypt_keyfile

SEED = bytes(range(32))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TPLUS_PASSWORD", raising=False)
    return tmp_path


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "encrypt_keyfile", functools.partial(encrypt_keyfile, iterations=1))
    theirs = functools.partial(ed_keyfile.encrypt_keyfile, kdf_iterations=1)
    monkeypatch.setattr(their_module, "encrypt_keyfile", theirs)


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.text(st.characters(exclude_categories=["Cs"])))
def test_same_signatures(seed: bytes, payload: str) -> None:
    ours, theirs = User(seed), TheirUser(seed)
    assert ours.sign(payload) == theirs.sign(payload)
    assert (ours.public_key, ours.public_key_vec) == (theirs.public_key, theirs.public_key_vec)


@pytest.mark.parametrize("key", [SEED, SEED + bytes.fromhex(User(SEED).public_key)], ids=["seed", "seed and public"])
@pytest.mark.parametrize("password", ["pw", "", "пароль €"])
def test_keyfiles_both_ways(tmp_path: Path, key: bytes, password: str) -> None:
    file = tmp_path / "keyfile"
    file.write_bytes(encrypt_keyfile(key, password, iterations=3))
    assert ed_keyfile.decrypt_keyfile(password, str(file)) == key
    ed_keyfile.encrypt_keyfile(key, password, str(file), kdf_iterations=3)
    assert decrypt_keyfile(file.read_bytes(), password) == key


def test_stored_users_both_ways_at_full_cost(home: Path) -> None:
    ours, theirs = UserManager(), TheirManager()
    alice: Any = theirs.generate("alice", "pw")
    bob = ours.generate("bob", "pw")
    assert ours.load("alice", "pw").sign("x y") == alice.sign("x y")
    assert theirs.load("bob", "pw").sign("x y") == bob.sign("x y")
    assert sorted(theirs.usernames) == list(ours.usernames) == ["alice", "bob"]


def test_imported_keys_and_missing_public_keys(home: Path, cheap: None) -> None:
    ours, theirs = UserManager(), TheirManager()
    user = User(SEED)
    theirs.add("long", SEED + bytes.fromhex(user.public_key), "pw")
    theirs.add("hex", "0x" + SEED.hex(), "pw")
    ours.add("ours", SEED, "pw")
    for name in ("long", "hex", "ours"):
        (ours.folder / f"{name}.pub").unlink()
    assert [ours.load(name, "pw") for name in ("long", "hex")] == [user, user]
    assert theirs.load("ours", "pw").public_key == user.public_key
    for name in ("long", "hex", "ours"):
        assert (ours.folder / f"{name}.pub").read_text() == user.public_key + "\n"
        assert ours.load(name, "pw").locked
        assert theirs.load(name, "pw").sign("x") == user.sign("x")


def test_the_only_user_is_the_default_of_both(home: Path, cheap: None) -> None:
    ours, theirs = UserManager(), TheirManager()
    alice = ours.generate("alice", "pw")
    assert ours.load_default("pw") == alice
    assert theirs.load_default("pw").public_key == alice.public_key


def test_a_dot_in_a_name_loads_in_both(home: Path, cheap: None) -> None:
    ours, theirs = UserManager(), TheirManager()
    user = ours.generate("bot.main", "pw")
    assert ours.usernames == ("bot.main",)
    assert theirs.load("bot.main", "pw").public_key == user.public_key
