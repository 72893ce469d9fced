"""Keys in memory, keyfiles, and the folder that they are stored in."""

from __future__ import annotations

import base64
import copy
import functools
import gc
import getpass
import json
import os
import pickle
import stat
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tplus_trio.errors import KeyfileError, TplusError
from tplus_trio.users import (
    LocalUser,
    User,
    UserManager,
    load_user,
    manager,
    user_manager,
)
from tplus_trio.users.keyfile import MAX_ITERATIONS, decrypt_keyfile, encrypt_keyfile
from tplus_trio.users.user import to_user_public_key

# RFC 8032, 7.1, the first test vector.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
SIGNATURE_OF_NOTHING = (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b"
)
OTHER = bytes(range(32))
PASSWORD = "geheimes Wört"
BAD_PASSWORD = "geheimes Wort\udcff"


def is_signed(user: User, signature: bytes, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(user.public_key)).verify(signature, message)


def shown(error: BaseException) -> str:
    """All that a traceback would print of an error, and what a logger may take of it."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


class TestUser:
    def test_signs_as_the_standard_says(self) -> None:
        user = User(SEED)
        assert user.public_key == PUBLIC
        assert user.public_key_vec == list(bytes.fromhex(PUBLIC))
        assert user.sign("").hex() == SIGNATURE_OF_NOTHING
        assert user.sign(" \r\n ").hex() == SIGNATURE_OF_NOTHING

    @pytest.mark.parametrize(
        "private_key",
        [
            SEED.hex(),
            "0x" + SEED.hex(),
            SEED.hex().upper(),
            SEED + bytes.fromhex(PUBLIC),
            SEED.hex() + PUBLIC,
            Ed25519PrivateKey.from_private_bytes(SEED),
        ],
        ids=["hex", "0x", "upper", "64 bytes", "128 digits", "key"],
    )
    def test_every_form_of_a_key(self, private_key: str | bytes | Ed25519PrivateKey) -> None:
        assert User(private_key).sign("").hex() == SIGNATURE_OF_NOTHING

    def test_without_a_key_each_is_fresh(self) -> None:
        user = User()
        assert user != User()
        is_signed(user, user.sign("a b\r\nc\td"), b"abc\td")

    @settings(deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_leaves_out_spaces_and_line_ends_only(self, payload: str) -> None:
        user = User(SEED)
        is_signed(
            user,
            user.sign(payload),
            b"".join(payload.encode().replace(b"\r", b"").split(b" ")).replace(b"\n", b""),
        )

    @pytest.mark.parametrize(
        "private_key",
        [
            SEED.hex()[:-1],
            SEED.hex()[:-1] + "g",
            " " + SEED.hex()[1:],
            SEED.hex()[:30] + "  " + SEED.hex()[32:],
            "0x0x" + SEED.hex()[4:],
            "0X" + SEED.hex(),
            SEED.hex() * 3,
            SEED.hex() + OTHER.hex(),
            SEED[:31],
            SEED + b"\0",
            SEED + OTHER,
            "",
            b"",
            bytearray(SEED),
            int.from_bytes(SEED, "big"),
            [SEED],
        ],
    )
    def test_what_is_no_key_is_refused_without_showing_it(self, private_key: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="private key") as caught:
            User(private_key)
        assert isinstance(caught.value, TypeError) == (not isinstance(private_key, str | bytes))
        for piece in (SEED.hex()[4:20], repr(SEED)[2:20], str(int.from_bytes(SEED, "big"))[:20]):
            assert piece not in shown(caught.value)

    def test_what_cannot_be_signed(self) -> None:
        user = User()
        with pytest.raises(ValueError, match="surrogates"):
            user.sign("\ud800")
        wrong: list[Any] = [b"bytes", 5, None]
        for payload in wrong:
            with pytest.raises(TypeError):
                user.sign(payload)

    def test_sub_account(self) -> None:
        assert User().sub_account == 0
        assert User(sub_account=3).sub_account == 3
        with pytest.raises(ValueError, match="-1"):
            User(sub_account=-1)
        wrong: list[Any] = [True, "1", 1.0]
        for sub_account in wrong:
            with pytest.raises(TypeError, match="sub-account"):
                User(sub_account=sub_account)

    def test_shows_its_public_key_only(self) -> None:
        user = User(SEED)
        assert repr(user) == str(user) == f"<User {PUBLIC}>"
        assert SEED.hex() not in repr(vars(user))
        assert not user.locked
        user.unlock()

    def test_equal_by_public_key(self) -> None:
        stored = LocalUser(PUBLIC, lambda: SEED)
        assert User(SEED) == User(SEED, sub_account=1) == stored
        assert len({User(SEED), User(SEED), stored, User(OTHER)}) == 2
        assert User(SEED) != PUBLIC

    @pytest.mark.parametrize("user", [User(SEED), LocalUser(PUBLIC, lambda: SEED)])
    @pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_is_not_taken_along(self, user: User, take: Callable[[object], object]) -> None:
        with pytest.raises(TypeError, match="private key"):
            take(user)

    def test_to_user_public_key(self) -> None:
        assert to_user_public_key(User(SEED)) == PUBLIC
        assert to_user_public_key("0x" + PUBLIC.upper()) == PUBLIC
        for wrong in (PUBLIC[1:], PUBLIC[1:] + "x", "", "200"):
            with pytest.raises(ValueError, match="64 hex"):
                to_user_public_key(wrong)
        number: Any = 5
        with pytest.raises(TypeError):
            to_user_public_key(number)


class TestLocalUser:
    def test_decrypts_at_the_first_signature_and_once(self) -> None:
        calls: list[int] = []

        def unlock() -> bytes:
            calls.append(1)
            return SEED

        user = LocalUser(PUBLIC, unlock, sub_account=2)
        assert (user.public_key, user.sub_account, user.locked, calls) == (PUBLIC, 2, True, [])
        assert repr(user) == f"<LocalUser {PUBLIC}>"
        assert user.sign("").hex() == SIGNATURE_OF_NOTHING
        user.unlock()
        user.sign("x")
        assert (user.locked, calls) == (False, [1])

    def test_threads_wait_for_one_decryption(self) -> None:
        calls: list[int] = []
        started = threading.Barrier(8)
        go = threading.Event()

        def unlock() -> bytes:
            calls.append(1)
            go.wait(5)
            return SEED

        user = LocalUser(PUBLIC, unlock)
        signatures: list[str] = []

        def sign() -> None:
            started.wait(5)
            signatures.append(user.sign("").hex())

        threads = [threading.Thread(target=sign) for _ in range(8)]
        for thread in threads:
            thread.start()
        go.set()
        for thread in threads:
            thread.join(5)
        assert signatures == [SIGNATURE_OF_NOTHING] * 8
        assert calls == [1]

    def test_a_failure_leaves_it_locked_to_be_tried_again(self) -> None:
        keys: list[bytes] = [OTHER, SEED]

        def unlock() -> bytes:
            if len(keys) == 2 and not failures:
                failures.append(1)
                raise KeyfileError("wrong password")
            return keys.pop(0)

        failures: list[int] = []
        user = LocalUser(PUBLIC, unlock)
        with pytest.raises(KeyfileError, match="wrong password"):
            user.unlock()
        with pytest.raises(ValueError, match="does not belong") as caught:
            user.sign("")
        assert OTHER.hex() not in str(caught.value)
        assert user.locked
        assert user.sign("").hex() == SIGNATURE_OF_NOTHING

    def test_forgets_what_unlocked_it(self) -> None:
        def unlock() -> bytes:
            return SEED

        user, held = LocalUser(PUBLIC, unlock), weakref.ref(unlock)
        del unlock
        assert held() is not None
        user.unlock()
        gc.collect()
        assert held() is None

    def test_every_form_of_a_public_key(self) -> None:
        raw = bytes.fromhex(PUBLIC)
        for public_key in ("0x" + PUBLIC.upper(), raw, Ed25519PublicKey.from_public_bytes(raw)):
            assert LocalUser(public_key, lambda: SEED).public_key == PUBLIC
        with pytest.raises(ValueError, match="64 hex"):
            LocalUser(raw[1:], lambda: SEED)


KEYFILE = encrypt_keyfile(SEED, PASSWORD, iterations=1)


def with_crypto(**changes: Any) -> bytes:
    keyfile = json.loads(KEYFILE)
    for path, value in changes.items():
        *parents, name = path.split("__")
        at = keyfile["crypto"]
        for parent in parents:
            at = at[parent]
        if value is None:
            del at[name]
        else:
            at[name] = value
    return json.dumps(keyfile).encode()


class TestKeyfile:
    @settings(deadline=None)
    @given(
        st.binary(min_size=32, max_size=32) | st.binary(min_size=64, max_size=64),
        st.text("aä €\0", max_size=9),
    )
    def test_round_trip(self, key: bytes, password: str) -> None:
        keyfile = encrypt_keyfile(key, password, iterations=2)
        assert decrypt_keyfile(keyfile, password) == key
        with pytest.raises(KeyfileError, match="password is wrong"):
            decrypt_keyfile(keyfile, password + "x")

    def test_shape(self) -> None:
        crypto = json.loads(encrypt_keyfile(SEED, "p"))["crypto"]
        sizes = {name: len(base64.b64decode(crypto[name], validate=True)) for name in ("ciphertext", "mac")}
        assert sizes == {"ciphertext": 32, "mac": 32}
        assert len(base64.b64decode(crypto["cipherparams"]["iv"], validate=True)) == 16
        assert len(base64.b64decode(crypto["kdfparams"].pop("salt"), validate=True)) == 16
        assert (crypto["cipher"], crypto["kdf"]) == ("aes-128-ctr", "pbkdf2")
        assert crypto["kdfparams"] == {"iterations": 262144, "dklen": 32, "digest": "sha256"}

    def test_salt_and_iv_are_fresh(self) -> None:
        one, other = (json.loads(encrypt_keyfile(SEED, "p", iterations=1))["crypto"] for _ in range(2))
        for name in ("cipherparams", "kdfparams", "ciphertext", "mac"):
            assert one[name] != other[name]

    @pytest.mark.parametrize(
        ("keyfile", "named"),
        [
            (b"", "JSON"),
            (b"\xff\xfe\x00", "JSON"),
            (b'{"crypto": "\xff"}', "crypto"),
            (b"[" * 60_000, "array"),
            (b'{"x":' * 10_000, "JSON"),
            (KEYFILE + b"x", "JSON"),
            (KEYFILE.ljust(70_000), "70000 bytes"),
            (b"[]", "array"),
            (b"{}", "crypto"),
            (with_crypto(kdf="scrypt"), r"kdf"),
            (with_crypto(kdf=None), "kdf"),
            (with_crypto(cipher="aes-256-gcm"), "cipher"),
            (with_crypto(mac=None), "mac"),
            (with_crypto(mac="*not base64*"), "mac"),
            (with_crypto(mac=base64.b64encode(bytes(31)).decode()), "mac"),
            (with_crypto(mac=base64.b64encode(bytes(32)).decode()), "MAC"),
            (with_crypto(ciphertext="AA=="), "ciphertext"),
            (with_crypto(ciphertext=base64.b64encode(bytes(33)).decode()), "32 or 64"),
            (with_crypto(cipherparams__iv="AA=="), "iv"),
            (with_crypto(kdfparams__salt=""), "salt"),
            (with_crypto(kdfparams__digest="md5"), "digest"),
            (with_crypto(kdfparams__dklen=16), "dklen"),
            (with_crypto(kdfparams__iterations=0), "iterations"),
            (with_crypto(kdfparams__iterations=MAX_ITERATIONS + 1), "iterations"),
            (with_crypto(kdfparams__iterations=10**40), "iterations"),
            (with_crypto(kdfparams__iterations="1"), "iterations"),
            (with_crypto(kdfparams__iterations=True), "iterations"),
        ],
        # Keyfiles are random, and the workers of pytest-xdist must agree on the names of the tests.
        ids=lambda value: value if isinstance(value, str) else "keyfile",
    )
    def test_says_what_is_wrong(self, keyfile: bytes, named: str) -> None:
        with pytest.raises(KeyfileError, match=named) as caught:
            decrypt_keyfile(keyfile, PASSWORD)
        assert isinstance(caught.value, TplusError)
        assert isinstance(caught.value, ValueError)
        assert "geheim" not in shown(caught.value)

    def test_cut_short_anywhere(self) -> None:
        for end in range(len(KEYFILE)):
            with pytest.raises(KeyfileError):
                decrypt_keyfile(KEYFILE[:end], PASSWORD)

    @settings(deadline=None)
    @given(st.integers(0, len(KEYFILE) - 1), st.integers(0, 255))
    def test_damaged_anywhere(self, at: int, byte: int) -> None:
        damaged = KEYFILE[:at] + bytes([byte]) + KEYFILE[at + 1 :]
        try:
            key = decrypt_keyfile(damaged, PASSWORD)
        except KeyfileError:
            return
        crypto = json.loads(damaged)["crypto"]
        # The format's MAC does not cover the IV; there the public key is what tells.
        assert key == SEED or crypto["cipherparams"] != json.loads(KEYFILE)["crypto"]["cipherparams"]

    def test_what_is_no_text_is_told_by_its_name(self) -> None:
        not_text: Any = b"x"
        with pytest.raises(TypeError, match="payload is a str, not bytes"):
            User().sign(not_text)
        with pytest.raises(TypeError, match="a user name is a str, not bytes"):
            UserManager().load(not_text)

    def test_bad_arguments(self) -> None:
        for iterations in (0, -1, MAX_ITERATIONS + 1):
            with pytest.raises(ValueError, match="iterations"):
                encrypt_keyfile(SEED, "p", iterations=iterations)
        with pytest.raises(ValueError, match="not 31"):
            encrypt_keyfile(SEED[1:], "p")
        not_text: Any = b"p"
        with pytest.raises(TypeError, match="password"):
            encrypt_keyfile(SEED, not_text, iterations=1)
        with pytest.raises(ValueError, match="UTF-8") as caught:
            encrypt_keyfile(SEED, BAD_PASSWORD, iterations=1)
        assert "geheim" not in shown(caught.value)
        assert caught.value.__context__ is None


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "encrypt_keyfile", functools.partial(encrypt_keyfile, iterations=1))


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap: None) -> UserManager:
    monkeypatch.delenv("TPLUS_PASSWORD", raising=False)
    return UserManager(tmp_path / "a" / "users")


class Terminal:
    """Stands for a terminal: somebody answers."""

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

    def test_nobody_else_may_read(self, users: UserManager) -> None:
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

    def test_two_at_once_cannot_both_win(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
        ready = threading.Barrier(4)

        def seen_by_none(path: Path) -> bool:  # each looks before any of them writes
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

    def test_whole_or_not_at_all(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
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

    def test_what_is_no_user_is_not_listed(self, users: UserManager) -> None:
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

    def test_nobody_to_ask(self, users: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
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
        monkeypatch.setattr(user_manager, "_default", None)  # put back afterwards
        user_manager.set_default("bob")
        assert load_user() == bob


def test_what_is_no_key_is_named_for_what_it_is() -> None:
    makers: tuple[Callable[[Any], object], ...] = (User, lambda key: UserManager().add("a", key))
    for make in makers:
        with pytest.raises(TypeError, match=r"not int$"):
            make(1)
