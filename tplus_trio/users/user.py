"""Who signs: a user with its key in memory, and one whose key stays encrypted until it is needed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Final, NoReturn, TypeAlias, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tplus_trio.arguments import check_instance
from tplus_trio.secret import SecretBytes, SecretText, conceal, kind_of

__all__ = ["LocalUser", "PrivateKey", "User", "conceal_key", "to_private_key", "to_user_public_key"]

#: What stands for a private key: hex text (``0x`` allowed), raw bytes, or the key itself.
PrivateKey: TypeAlias = str | bytes | Ed25519PrivateKey

T = TypeVar("T")

_SEED_SIZE: Final = 32
_HEX: Final = re.compile(r"[0-9a-fA-F]*")
_IGNORED_WHEN_SIGNING: Final = str.maketrans("", "", " \r\n")


def conceal_key(value: T) -> T:
    """A private key in any form, unseen: the first thing to do with one, lest a traceback's locals show it."""
    return value if isinstance(value, Ed25519PrivateKey) else conceal(value)


def to_private_key(value: object) -> Ed25519PrivateKey:
    """Make the key of anything that is a :data:`PrivateKey`.

    Args:
        value: Hex text or bytes of a 32-byte seed, or of the seed and its 32-byte public key; or the key
            itself.

    Raises:
        TypeError: ``value`` is of another type.
        ValueError: It has the wrong length, is not hexadecimal, or its public half belongs to another seed.
    """
    value = conceal_key(value)
    if isinstance(value, Ed25519PrivateKey):
        return value
    if isinstance(value, str):
        digits = SecretText(value.removeprefix("0x"))
        if len(digits) not in {64, 128} or _HEX.fullmatch(digits) is None:
            raise ValueError("a private key in text is 64 (seed) or 128 (seed and public key) hexadecimal digits")
        value = SecretBytes.fromhex(digits)
    if not isinstance(value, bytes):
        raise TypeError(f"a private key is str, bytes or Ed25519PrivateKey, not {kind_of(value)}")
    if len(value) not in {_SEED_SIZE, 2 * _SEED_SIZE}:
        raise ValueError(f"a private key is 32 (seed) or 64 (seed and public key) bytes, not {len(value)}")
    key = Ed25519PrivateKey.from_private_bytes(value[:_SEED_SIZE])
    if value[_SEED_SIZE:] not in {b"", key.public_key().public_bytes_raw()}:
        raise ValueError("the last 32 bytes of a 64-byte private key must be the public key of the first 32")
    return key


def to_user_public_key(user: User | str) -> str:
    """The public key of a user, or of a public key in hex (``0x`` allowed), as 64 lower-case hex digits.

    Raises:
        TypeError: ``user`` is neither.
        ValueError: The text is not a 32-byte key in hex.
    """
    if isinstance(user, User):
        return user.public_key
    return _public_key_text(user)


def _public_key_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a public key is 64 hexadecimal digits (str), not {type(value).__name__}")
    digits = value.removeprefix("0x")
    if len(digits) != 64 or _HEX.fullmatch(digits) is None:
        raise ValueError("a public key is 64 hexadecimal digits, with or without 0x")
    return digits.lower()


def _sub_account(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a sub-account is an int, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"a sub-account is 0 (the main one) or more, not {value}")
    return value


class User:
    """An Ed25519 key pair that signs, its key in memory.

    Two users are equal if their public keys are. A user is neither copied nor pickled: its key stays where it
    is.

    Args:
        private_key: The key (see :data:`PrivateKey`): 32 bytes of seed, or 64 bytes of seed and public key.
            None makes a fresh one.
        sub_account: The sub-account that it acts for; None is the main one, 0.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The key is not one, or the sub-account is negative. The message never holds the key.
    """

    def __init__(self, private_key: PrivateKey | None = None, sub_account: int | None = None) -> None:
        private_key = conceal_key(private_key)
        self._key = Ed25519PrivateKey.generate() if private_key is None else to_private_key(private_key)
        self._identify(self._key.public_key().public_bytes_raw().hex(), sub_account)

    def _identify(self, public_key: str, sub_account: int | None) -> None:
        self._public_key = public_key
        self._sub_account = _sub_account(sub_account)

    @property
    def public_key(self) -> str:
        """The raw public key, 64 lower-case hex digits."""
        return self._public_key

    @property
    def public_key_vec(self) -> list[int]:
        """The raw public key as 32 numbers, a new list each time."""
        return list(bytes.fromhex(self._public_key))

    @property
    def sub_account(self) -> int:
        """The sub-account that this user acts for; 0 is the main one."""
        return self._sub_account

    @property
    def locked(self) -> bool:
        """Whether the key is still to be decrypted."""
        return False

    def unlock(self) -> None:
        """Have the key ready to sign. Nothing happens where it is; see :meth:`LocalUser.unlock`."""

    def sign(self, payload: str) -> bytes:
        """Sign a text with its spaces, CR and LF left out, in UTF-8.

        Returns:
            The 64 bytes of the signature.

        Raises:
            TypeError: ``payload`` is not a str.
            ValueError: The key cannot be unlocked (:class:`LocalUser` only), or ``payload`` has no UTF-8
                form.
        """
        text = check_instance("payload", payload, str).translate(_IGNORED_WHEN_SIGNING)
        return self._private_key().sign(text.encode())

    def _private_key(self) -> Ed25519PrivateKey:
        return self._key

    def __eq__(self, other: object) -> bool:
        return self._public_key == other._public_key if isinstance(other, User) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._public_key)

    def __repr__(self) -> str:
        # A traceback's locals may show one that was refused before it had a key.
        return f"<{type(self).__name__} {getattr(self, '_public_key', 'without a key')}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is neither copied nor pickled: that would take its private key along")


class LocalUser(User):
    """A user whose key is fetched, and decrypted, at the first signature only.

    Args:
        public_key: The public key: hex, 32 bytes, or the key itself.
        unlock: Gives the private key when first needed; it may block, ask for a password, and raise. It is
            called once, from one thread at a time, and forgotten when it has succeeded.
        sub_account: The sub-account that it acts for; None is the main one, 0.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The public key is not one, or the sub-account is negative.
    """

    def __init__(
        self,
        public_key: str | bytes | Ed25519PublicKey,
        unlock: Callable[[], PrivateKey],
        sub_account: int | None = None,
    ) -> None:
        if isinstance(public_key, Ed25519PublicKey):
            public_key = public_key.public_bytes_raw()
        if isinstance(public_key, bytes):
            public_key = public_key.hex()
        self._identify(_public_key_text(public_key), sub_account)
        # The key takes the place of what fetches it, and of the password that may be in there.
        self._source: Callable[[], PrivateKey] | Ed25519PrivateKey = unlock
        self._lock = threading.Lock()

    @property
    def locked(self) -> bool:
        """Whether the key is still to be decrypted."""
        return not isinstance(self._source, Ed25519PrivateKey)

    def unlock(self) -> None:
        """Decrypt the key now rather than at the first signature.

        It blocks: on the disk, on the key derivation (about 0.1 s), and on whoever is asked for the password.
        In a trio program call it in a thread (``await trio.to_thread.run_sync(user.unlock)``). A second call
        does nothing; threads that call it together wait for one decryption. A failure leaves the user locked,
        to be tried again.

        Raises:
            KeyfileError: The stored key cannot be read, or the password is wrong.
            ValueError: The key does not belong to this user's public key, or there is no password to be had.
        """
        self._private_key()

    def _private_key(self) -> Ed25519PrivateKey:
        with self._lock:
            if isinstance(self._source, Ed25519PrivateKey):
                return self._source
            key = to_private_key(self._source())
            if key.public_key().public_bytes_raw().hex() != self._public_key:
                raise ValueError(f"the stored private key does not belong to the public key {self._public_key}")
            self._source = key
            return key
