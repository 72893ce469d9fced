"""Users that sign: `User` holds its key in memory; `LocalUser` keeps it encrypted until the first signature."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Final, NoReturn, TypeAlias, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tplus_trio.arguments import check_instance
from tplus_trio.secret import SecretBytes, SecretText, conceal, kind_of

__all__ = ["LocalUser", "PrivateKey", "User", "conceal_key", "to_private_key", "to_user_public_key"]

#: A private key: hex text (``0x`` allowed), raw bytes, or an Ed25519PrivateKey.
PrivateKey: TypeAlias = str | bytes | Ed25519PrivateKey

T = TypeVar("T")

_SEED_SIZE: Final = 32
_HEX: Final = re.compile(r"[0-9a-fA-F]*")


def conceal_key(value: T) -> T:
    """Hide a private key of any form from reprs; call it first, because a traceback may show local variables."""
    return value if isinstance(value, Ed25519PrivateKey) else conceal(value)


def to_private_key(value: object) -> Ed25519PrivateKey:
    """Convert a :data:`PrivateKey` to an Ed25519PrivateKey.

    Args:
        value: A 32-byte seed, or the seed and its 32-byte public key, as hex text or bytes; or an
            Ed25519PrivateKey.

    Raises:
        TypeError: ``value`` is of another type.
        ValueError: ``value`` has the wrong length, is not hexadecimal, or its public key belongs to another seed.
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
    """Convert a user, or a public key in hex, to the public key's text.

    Args:
        user: A `User`, or 64 hex digits (``0x`` allowed).

    Returns:
        64 lower-case hex digits.

    Raises:
        TypeError: ``user`` is neither a `User` nor a str.
        ValueError: The text is not 64 hex digits.
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
    """An Ed25519 key pair that signs requests; the private key is in memory.

    Two users are equal if their public keys are equal. A user cannot be copied or pickled, so that its private key is
    not copied with it.

    Args:
        private_key: A 32-byte seed, or 64 bytes of seed and public key, in any form of :data:`PrivateKey`. None
            generates a new key.
        sub_account: The sub-account that the user acts for, 0 or more; None is 0, the main account.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The key is not valid, or the sub-account is negative. The message never contains the key.
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
        """The raw 32-byte public key as 64 lower-case hex digits."""
        return self._public_key

    @property
    def public_key_vec(self) -> list[int]:
        """The raw public key as a list of 32 ints, 0 to 255; each access makes a new list."""
        return list(bytes.fromhex(self._public_key))

    @property
    def sub_account(self) -> int:
        """The sub-account that this user acts for; 0 is the main account."""
        return self._sub_account

    @property
    def locked(self) -> bool:
        """Whether the private key is still encrypted; always False for a key in memory."""
        return False

    def unlock(self) -> None:
        """Decrypt the private key. A `User` does nothing here: its key is in memory. See :meth:`LocalUser.unlock`."""

    def sign(self, payload: str) -> bytes:
        """Sign the UTF-8 bytes of a text, after removing its spaces, CR and LF.

        A locked `LocalUser` decrypts its key first, which blocks; see :meth:`LocalUser.unlock`.

        Args:
            payload: The text to sign.

        Returns:
            The Ed25519 signature, 64 bytes.

        Raises:
            TypeError: ``payload`` is not a str.
            KeyfileError: As :meth:`LocalUser.unlock` (:class:`LocalUser` only).
            ValueError: ``payload`` has no UTF-8 form; or as :meth:`LocalUser.unlock`.
        """
        # Most texts have none of them: looking costs less than `str.translate`.
        text = check_instance("payload", payload, str).replace(" ", "").replace("\r", "").replace("\n", "")
        return self._private_key().sign(text.encode())

    def _private_key(self) -> Ed25519PrivateKey:
        return self._key

    def __eq__(self, other: object) -> bool:
        return self._public_key == other._public_key if isinstance(other, User) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._public_key)

    def __repr__(self) -> str:
        # A traceback may show a user whose __init__ raised before it had a key.
        return f"<{type(self).__name__} {getattr(self, '_public_key', 'without a key')}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled: the copy would contain its private key")


class LocalUser(User):
    """A user whose private key is loaded and decrypted at the first signature.

    Args:
        public_key: The public key: 64 hex digits (``0x`` allowed), 32 bytes, or an Ed25519PublicKey.
        unlock: Returns the private key. The first signature or :meth:`unlock` calls it. It may block, ask for a
            password, and raise. One thread calls it at a time. After it has returned the key, it is not called again
            and is released.
        sub_account: The sub-account that the user acts for, 0 or more; None is 0, the main account.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The public key is not valid, or the sub-account is negative.
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
        # The key replaces the callable, so that a password in its closure is released too.
        self._source: Callable[[], PrivateKey] | Ed25519PrivateKey = unlock
        self._lock = threading.Lock()

    @property
    def locked(self) -> bool:
        """Whether the private key is still encrypted."""
        return not isinstance(self._source, Ed25519PrivateKey)

    def unlock(self) -> None:
        """Decrypt the private key now instead of at the first signature.

        It blocks on the disk, on the key derivation (about 0.1 s), and on the password prompt, if any. In a trio
        program, call it in a thread: ``await trio.to_thread.run_sync(user.unlock)``. A second call does nothing.
        Threads that call it at the same time wait for one decryption. A failure leaves the user locked; a later call
        tries again.

        Raises:
            KeyfileError: The stored key cannot be read, or the password is wrong.
            ValueError: The private key does not belong to this user's public key, or there is no password and no
                terminal to ask at.
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
