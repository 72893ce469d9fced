"""Encrypts and decrypts the keyfile of a stored user; it takes bytes and returns bytes.

PBKDF2-HMAC-SHA256 derives 32 bytes from the password. The first 16 are the AES-128-CTR key. The MAC is SHA3-256 of the
last 16 and the ciphertext. The JSON layout is that of the other T+ clients: each reads the keyfiles of the others.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from codecs import BOM_UTF8
from typing import Annotated, Final, Literal

import attrs
import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tplus_trio.errors import KeyfileError
from tplus_trio.secret import SecretBytes, conceal, kind_of

__all__ = ["DEFAULT_ITERATIONS", "MAX_ITERATIONS", "KeyfileError", "decrypt_keyfile", "encrypt_keyfile"]

DEFAULT_ITERATIONS: Final = 262_144
#: A file with more iterations could block its reader for minutes, and would protect no better.
MAX_ITERATIONS: Final = 10_000_000
_MAX_SIZE: Final = 64 * 1024


@attrs.frozen
class _CipherParams:
    iv: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


@attrs.frozen(kw_only=True)
class _KdfParams:
    salt: Annotated[bytes, msgspec.Meta(min_length=1, max_length=1024)]
    iterations: Annotated[int, msgspec.Meta(ge=1, le=MAX_ITERATIONS)]
    dklen: Literal[32]
    digest: Literal["sha256"]


@attrs.frozen(kw_only=True)
class _Crypto:
    cipher: Literal["aes-128-ctr"]
    cipherparams: _CipherParams
    ciphertext: Annotated[bytes, msgspec.Meta(min_length=32, max_length=64)]
    kdf: Literal["pbkdf2"]
    kdfparams: _KdfParams
    mac: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


@attrs.frozen
class _Keyfile:
    crypto: _Crypto


def encrypt_keyfile(private_key: bytes, password: str, *, iterations: int = DEFAULT_ITERATIONS) -> bytes:
    """Encrypt a private key. Blocks for the key derivation, about 0.1 s at the default iterations.

    Args:
        private_key: 32 bytes of seed, or 64 bytes of seed and public key.
        password: The password that decrypts the keyfile.
        iterations: PBKDF2 iterations, 1 to :data:`MAX_ITERATIONS`; each guess at the password costs as many.

    Returns:
        The keyfile: indented JSON, in UTF-8.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The key is not 32 or 64 bytes, ``iterations`` is out of range, or the password has no UTF-8 form.
    """
    private_key, password = conceal(private_key), conceal(password)
    if not isinstance(private_key, bytes):
        raise TypeError(f"a private key is bytes, not {kind_of(private_key)}")
    if len(private_key) not in {32, 64}:
        raise ValueError(f"a private key is 32 (seed) or 64 (seed and public key) bytes, not {len(private_key)}")
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise ValueError(f"iterations must be 1 to {MAX_ITERATIONS}, not {iterations}")
    kdfparams = _KdfParams(salt=os.urandom(16), iterations=iterations, dklen=32, digest="sha256")
    iv = os.urandom(16)
    derived = _derive(password, kdfparams)
    ciphertext = _aes_ctr(derived, iv, private_key)
    crypto = _Crypto(
        cipher="aes-128-ctr",
        cipherparams=_CipherParams(iv),
        ciphertext=ciphertext,
        kdf="pbkdf2",
        kdfparams=kdfparams,
        mac=_mac(derived, ciphertext),
    )
    return msgspec.json.format(msgspec.json.encode(_Keyfile(crypto)))


def decrypt_keyfile(data: bytes, password: str) -> bytes:
    """Decrypt a keyfile. Blocks for the key derivation, about 0.1 s at the default iterations.

    Args:
        data: The keyfile's JSON, at most 64 KiB.
        password: The password that it was encrypted with.

    Returns:
        The private key: 32 bytes of seed, or 64 bytes of seed and public key.

    Raises:
        KeyfileError: The password is wrong, or ``data`` is not a valid keyfile; the message says why.
        TypeError: ``password`` is not a str.
        ValueError: ``password`` has no UTF-8 form.
    """
    password = conceal(password)
    crypto = _parse(data)
    derived = _derive(password, crypto.kdfparams)
    if not hmac.compare_digest(_mac(derived, crypto.ciphertext), crypto.mac):
        raise KeyfileError("the MAC does not match: the password is wrong, or the keyfile is damaged")
    return _aes_ctr(derived, crypto.cipherparams.iv, crypto.ciphertext)


def _parse(data: bytes) -> _Crypto:
    if len(data) > _MAX_SIZE:
        raise KeyfileError(f"not a keyfile: {len(data)} bytes; a keyfile has at most {_MAX_SIZE}")
    try:
        crypto = msgspec.json.decode(data.removeprefix(BOM_UTF8), type=_Keyfile).crypto
    except msgspec.ValidationError as error:
        raise KeyfileError(f"not a valid keyfile: {str(error)[:300]}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise KeyfileError("not a keyfile: it is not valid JSON; it may be truncated") from None
    if len(crypto.ciphertext) not in {32, 64}:
        raise KeyfileError(f"the ciphertext must be 32 or 64 bytes, not {len(crypto.ciphertext)}")
    return crypto


def _derive(password: object, kdf: _KdfParams) -> bytes:
    if not isinstance(password, str):
        raise TypeError(f"a password is a str, not {kind_of(password)}")
    # Checked before encoding, because the UnicodeEncodeError would carry the whole password.
    if any("\ud800" <= character <= "\udfff" for character in password):
        raise ValueError("the password has characters that have no UTF-8 form")
    return SecretBytes(hashlib.pbkdf2_hmac("sha256", password.encode(), kdf.salt, kdf.iterations, dklen=32))


def _mac(derived: bytes, ciphertext: bytes) -> bytes:
    return hashlib.sha3_256(derived[16:] + ciphertext).digest()


def _aes_ctr(derived: bytes, iv: bytes, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(derived[:16]), modes.CTR(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()
