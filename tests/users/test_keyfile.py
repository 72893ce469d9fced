"""A keyfile holds one key, encrypted with a password."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.keys import BAD_PASSWORD, PASSWORD, SEED, shown
from tplus_trio.errors import KeyfileError, TplusError
from tplus_trio.users import (
    User,
    UserManager,
)
from tplus_trio.users.keyfile import MAX_ITERATIONS, decrypt_keyfile, encrypt_keyfile

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
    def test_an_error_names_what_is_wrong_with_a_keyfile(self, keyfile: bytes, named: str) -> None:
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
        # The format's MAC does not cover the IV; a wrong IV shows in the public key.
        assert key == SEED or crypto["cipherparams"] != json.loads(KEYFILE)["crypto"]["cipherparams"]

    def test_a_field_that_is_no_text_is_named(self) -> None:
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
