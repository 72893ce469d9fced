"""Keys in memory, keyfiles, and the folder that they are stored in."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.keys import OTHER, PUBLIC, SEED, SIGNATURE_OF_NOTHING, shown
from tplus_trio.errors import KeyfileError
from tplus_trio.users import (
    LocalUser,
    User,
)
from tplus_trio.users.user import to_user_public_key


def is_signed(user: User, signature: bytes, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(user.public_key)).verify(signature, message)


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
    def test_an_illegal_key_is_refused_without_showing_it(self, private_key: Any) -> None:
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

    def test_a_password_is_dropped_after_the_decryption(self) -> None:
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
