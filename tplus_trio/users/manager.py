"""Users on disk: an encrypted keyfile each, and its public key beside it.

Everything here blocks: on the disk, on the key derivation (about 0.1 s), and on whoever is asked for a
password. In a trio program call it before the loop starts, or in a thread (``trio.to_thread.run_sync``).
"""

from __future__ import annotations

import contextlib
import getpass
import os
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tplus_trio.arguments import check_instance
from tplus_trio.errors import KeyfileError
from tplus_trio.secret import SecretText, conceal
from tplus_trio.users.keyfile import decrypt_keyfile, encrypt_keyfile
from tplus_trio.users.user import LocalUser, PrivateKey, User, conceal_key, to_private_key, to_user_public_key

__all__ = ["UserManager", "load_user", "user_manager"]

_ENVIRONMENT: Final = "TPLUS_PASSWORD"
_PUBLIC_SUFFIX: Final = ".pub"
#: A file name holds 255 bytes, and the public key's file has four more than the keyfile's.
_MAX_NAME_BYTES: Final = 255 - len(_PUBLIC_SUFFIX)
_MAX_FILE_SIZE: Final = 64 * 1024
#: Control characters, and what ends lines or paragraphs.
_NO_LETTERS: Final = frozenset({"Cc", "Zl", "Zp"})
_NO_SYMLINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)


class UserManager:
    r"""The users stored in one folder, each as ``<name>`` (the encrypted key) and ``<name>.pub``.

    Files are made with mode 0600 in a folder of mode 0700, at once or not at all, and never over an existing
    user. A folder that others may read or enter is closed to them when a user is stored; one that everybody may
    write to is refused. The folder may be a symbolic link; those in it are not followed. A password is the
    argument, else the environment's ``TPLUS_PASSWORD``, else what is typed at the terminal.

    A name is a file name: 1 to 251 bytes in UTF-8, no ``/``, ``\`` or control characters, no ``.`` at its
    beginning and no ``.pub`` at its end. Every method that takes a name raises ValueError for any other.

    Args:
        folder: Where they are; None is ``~/.tplus/users``. The home folder is looked up at each use.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self._folder = Path("~/.tplus/users" if folder is None else folder)
        self._default: str | None = None

    @property
    def folder(self) -> Path:
        """Where the users are stored; it need not exist yet."""
        return self._folder.expanduser()

    @property
    def usernames(self) -> tuple[str, ...]:
        """The names of the stored users, sorted."""
        try:
            with os.scandir(self.folder) as entries:
                files = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return ()
        return tuple(sorted(name for name in files if _name_fault(name) is None))

    @property
    def users(self) -> tuple[User, ...]:
        """The stored users, in the order of their names; see :meth:`load`."""
        return tuple(self.load(name) for name in self.usernames)

    def generate(self, name: str, password: str | None = None) -> User:
        """Make a user with a fresh key and store it.

        Raises:
            ValueError: The name is illegal or taken, the folder is open to everybody, or there is no
                password.
            OSError: The folder or a file cannot be written.
        """
        password = conceal(password)
        return self._store(name, Ed25519PrivateKey.generate(), password)

    def add(self, name: str, private_key: PrivateKey, password: str | None = None) -> User:
        """Store a user whose key exists already; ``private_key`` as :class:`User` takes it.

        Raises:
            TypeError: The key is of another type.
            ValueError: The key is not one, the name is illegal or taken, the folder is open to everybody, or
                there is no password.
            OSError: The folder or a file cannot be written.
        """
        private_key, password = conceal_key(private_key), conceal(password)
        return self._store(name, to_private_key(private_key), password)

    def load(self, name: str, password: str | None = None) -> User:
        """The stored user of that name, its key still encrypted.

        The key is decrypted at the first signature or :meth:`~User.unlock`, and only then is a password
        looked for. Where the ``.pub`` file is missing it is decrypted now, and the file is written if it can
        be.

        Raises:
            KeyfileError: The public key's file is damaged; without one, also what decrypting may raise.
            ValueError: The name is illegal, no such user is stored, or there is no password.
        """
        password = conceal(password)
        path = self._path(name)
        if not _is_file(path):
            raise ValueError(f"no user {name!r} in {self.folder}; {_choices(self.usernames)}")

        def unlock() -> PrivateKey:  # a closure: the password shows in no repr, as it would in a partial's
            keyfile = _read(path)
            try:
                return decrypt_keyfile(keyfile, _password(password, name))
            except KeyfileError as error:
                raise KeyfileError(f"user {name!r}: {error}") from None

        public_path = _public_path(path)
        if os.path.lexists(public_path):
            return LocalUser(_read_public_key(public_path), unlock)
        user = User(unlock())
        with contextlib.suppress(OSError):  # a reader need not have the right to write
            _write(public_path, f"{user.public_key}\n".encode(), os.replace)
        return user

    def load_default(self, password: str | None = None) -> User | None:
        """The user named to :meth:`set_default`, else the only one stored; None if there are none or several.

        Raises:
            KeyfileError: As :meth:`load`.
            ValueError: As :meth:`load`.
        """
        password = conceal(password)
        names = self.usernames if self._default is None else (self._default,)
        return self.load(names[0], password) if len(names) == 1 else None

    def set_default(self, name: str) -> None:
        """Name the user that :meth:`load_default` loads, for as long as this manager lives.

        It need not be stored yet.
        """
        self._path(name)
        self._default = name

    def _path(self, name: str) -> Path:
        fault = _name_fault(name)
        if fault is not None:
            raise ValueError(
                f"not a user name ({fault}): {name!r:.300}; a name is 1 to {_MAX_NAME_BYTES} bytes of UTF-8, "
                "without '/', '\\' and control characters, does not begin with '.' nor end in '.pub'"
            )
        return self.folder / name

    def _store(self, name: str, key: Ed25519PrivateKey, password: str | None) -> User:
        path = self._path(name)
        taken = f"there is a user {name!r} in {self.folder} already"
        if os.path.lexists(path):  # before anybody is asked for a password
            raise ValueError(taken)
        keyfile = encrypt_keyfile(key.private_bytes_raw(), _password(password, name, new=True))
        _make_private(self.folder)
        user = User(key)
        try:
            _write(path, keyfile, os.link)
        except FileExistsError:
            raise ValueError(taken) from None
        # Second, so that only the one who made the keyfile writes it. A public key may be left over from a
        # user that was deleted, so it is replaced.
        _write(_public_path(path), f"{user.public_key}\n".encode(), os.replace)
        return user


def _name_fault(name: str) -> str | None:
    """What keeps a text from being a user name; None if it is one."""
    try:
        size = len(check_instance("a user name", name, str).encode())
    except UnicodeEncodeError:
        return "it has no UTF-8 form"
    if not 1 <= size <= _MAX_NAME_BYTES:
        return f"{size} bytes long"
    if any(character in "/\\" or unicodedata.category(character) in _NO_LETTERS for character in name):
        return "it holds a separator or a control character"
    if name.startswith("."):
        return "it begins with '.'"
    return "it ends in '.pub'" if name.endswith(_PUBLIC_SUFFIX) else None


def _choices(names: tuple[str, ...]) -> str:
    return f"stored: {', '.join(names)}" if names else "none is stored"


def _public_path(path: Path) -> Path:
    return path.with_name(path.name + _PUBLIC_SUFFIX)


def _password(password: str | None, name: str, *, new: bool = False) -> str:
    if password is not None:
        return password
    if from_environment := SecretText(os.environ.get(_ENVIRONMENT, "")):
        return from_environment
    if sys.stdin is None or not sys.stdin.isatty():
        raise ValueError(
            f"no password for user {name!r}: pass password=…, or set {_ENVIRONMENT}; there is no terminal to ask at"
        )
    if not new:
        return getpass.getpass(f"Password of {name}: ")
    typed = SecretText(getpass.getpass(f"New password for {name}: "))
    if not typed:
        raise ValueError("an empty password would protect nothing")
    if getpass.getpass("The same again: ") != typed:
        raise ValueError("the two passwords differ; nothing was stored")
    return typed


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _read(path: Path) -> bytes:
    """The bytes of a small regular file that is no symbolic link."""
    if not _is_file(path):
        raise KeyfileError(f"not a regular file: {path}")
    # Checked above for a good message, and here against a link that has just taken its place.
    with os.fdopen(os.open(path, os.O_RDONLY | _NO_SYMLINK), "rb") as file:
        return file.read(_MAX_FILE_SIZE + 1)


def _read_public_key(path: Path) -> str:
    text = _read(path).decode("ascii", "replace").strip()
    try:
        return to_user_public_key(text)
    except ValueError:
        raise KeyfileError(f"not a public key of 64 hexadecimal digits: {path}") from None


def _make_private(folder: Path) -> None:
    """Have the folder, for its owner alone; one that everybody may write to is not ours to close."""
    # Those above it as well, lest somebody exchanges it; and whatever the umask is.
    for missing in [path for path in (*reversed(folder.parents), folder) if not path.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)
        missing.chmod(0o700)
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH:
        raise ValueError(f"everybody may write to {folder}; keys need a folder of their own")
    if stat.S_IMODE(mode) & 0o077:
        folder.chmod(0o700)


def _write(path: Path, data: bytes, put: Callable[[str, Path], None]) -> None:
    """Make a file of mode 0600 that is whole or not there: written beside its place, then put there.

    Args:
        path: Its place.
        data: What it holds.
        put: ``os.link``, which fails on anything that is there, or ``os.replace``.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            Path(temporary).chmod(0o600)  # made with that, or less where the umask says so
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        put(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Have a new name survive a power cut, where folders can be synced at all."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


#: The stored users of ``~/.tplus/users``.
user_manager: Final = UserManager()


def load_user(name: str | None = None, password: str | None = None) -> User:
    """A user of :data:`user_manager`: the one of that name, else its default, else the only one stored.

    Its key is decrypted at the first signature only; see :meth:`UserManager.load`.

    Args:
        name: Which one; None is the default.
        password: What opens its keyfile; None is ``TPLUS_PASSWORD`` from the environment, else the terminal
            is asked.

    Raises:
        KeyfileError: The public key's file is damaged; without one, also what decrypting may raise.
        ValueError: There is no such user, or no name was given and there is no default among several.
    """
    password = conceal(password)
    if name is not None:
        return user_manager.load(name, password)
    user = user_manager.load_default(password)
    if user is None:
        choices = _choices(user_manager.usernames)
        raise ValueError(f"no user named, and no default in {user_manager.folder}; {choices}")
    return user
