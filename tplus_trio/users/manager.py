"""Stores users in files: an encrypted keyfile and a public key file for each.

Every call here blocks: on the disk, on the key derivation (about 0.1 s), and on the password prompt. A trio program
calls it before ``trio.run``, or in a thread (``trio.to_thread.run_sync``).
"""

from __future__ import annotations

import contextlib
import os
import unicodedata
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tplus_trio.arguments import check_instance
from tplus_trio.errors import KeyfileError
from tplus_trio.secret import SecretText, conceal
from tplus_trio.users import files
from tplus_trio.users.keyfile import decrypt_keyfile, encrypt_keyfile
from tplus_trio.users.terminal import ask_password, has_terminal
from tplus_trio.users.user import LocalUser, PrivateKey, User, conceal_key, to_private_key, to_user_public_key

__all__ = ["UserManager", "load_user", "user_manager"]

_ENVIRONMENT: Final = "TPLUS_PASSWORD"
_PUBLIC_SUFFIX: Final = ".pub"
#: File systems allow names of 255 bytes, and the public key's file name adds ``.pub``.
_MAX_NAME_BYTES: Final = 255 - len(_PUBLIC_SUFFIX)
#: Unicode categories that a name may not contain: control characters, line and paragraph separators.
_NO_LETTERS: Final = frozenset({"Cc", "Zl", "Zp"})
_DEFAULT_FOLDER: Final = Path("~/.tplus/users")


class UserManager:
    r"""Stores users in one folder, each as ``<name>`` (the encrypted private key) and ``<name>.pub``.

    Files have mode 0600, in a folder of mode 0700. A user is stored completely or not at all, and never replaces an
    existing user. Storing a user sets the folder's mode to 0700 if its group or others have access; a folder that
    everybody may write to is refused. The folder may be a symbolic link; symbolic links in it are not followed. The
    password is the argument, else the environment variable ``TPLUS_PASSWORD``, else the answer to a prompt at the
    terminal.

    A name is a file name: 1 to 251 bytes of UTF-8, without ``/``, ``\``, control characters, or line or paragraph
    separators. It does not begin with ``.`` and does not end in ``.pub``. Every method that takes a name raises
    ValueError for any other text, and TypeError for another type.

    Every method blocks and cannot be cancelled; in a trio program, call it in a thread.

    Args:
        folder: Where the users are stored; None is ``~/.tplus/users``. ``~`` is expanded at each use.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self._folder = _DEFAULT_FOLDER if folder is None else Path(folder)
        self._default: str | None = None

    @property
    def folder(self) -> Path:
        """The folder in which the users are stored; it need not exist yet.

        Raises:
            KeyfileError: The folder is below the home folder, and there is no home folder.
        """
        try:
            return self._folder.expanduser()
        except RuntimeError:
            raise KeyfileError(
                f"there is no home folder for {self._folder}: set HOME, or give UserManager a folder"
            ) from None

    @property
    def usernames(self) -> tuple[str, ...]:
        """The names of the stored users, sorted.

        Raises:
            KeyfileError: The folder cannot be read, or there is no home folder.
        """
        try:
            with os.scandir(self.folder) as entries:
                files = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise KeyfileError(f"cannot read {self.folder}: {error.strerror}") from error
        return tuple(sorted(name for name in files if _name_fault(name) is None))

    @property
    def users(self) -> tuple[User, ...]:
        """The stored users, sorted by name; :meth:`load` loads each, with no password given.

        Raises:
            KeyfileError: As :meth:`load`.
            ValueError: As :meth:`load`.
        """
        return tuple(self.load(name) for name in self.usernames)

    def generate(self, name: str, password: str | None = None) -> User:
        """Generate a new key, store it, and return its user.

        Args:
            name: The new user's name.
            password: Encrypts the key; None is ``TPLUS_PASSWORD``, else the terminal is asked twice.

        Returns:
            The user, ready to sign.

        Raises:
            ValueError: The name is illegal or taken, everybody may write to the folder, or there is no password.
            KeyfileError: There is no home folder.
            OSError: The folder or a file cannot be written.
        """
        password = conceal(password)
        return self._store(name, Ed25519PrivateKey.generate(), password)

    def add(self, name: str, private_key: PrivateKey, password: str | None = None) -> User:
        """Store an existing key and return its user.

        Args:
            name: The new user's name.
            private_key: A 32-byte seed, or 64 bytes of seed and public key, in any form that :class:`User` takes.
            password: Encrypts the key; None is ``TPLUS_PASSWORD``, else the terminal is asked twice.

        Returns:
            The user, ready to sign.

        Raises:
            TypeError: The key is of another type.
            ValueError: The key is not valid, the name is illegal or taken, everybody may write to the folder, or
                there is no password.
            KeyfileError: There is no home folder.
            OSError: The folder or a file cannot be written.
        """
        private_key, password = conceal_key(private_key), conceal(password)
        return self._store(name, to_private_key(private_key), password)

    def load(self, name: str, password: str | None = None) -> User:
        """Load a stored user; its private key stays encrypted.

        The first signature or :meth:`~User.unlock` decrypts it, and looks for the password only then. If the ``.pub``
        file is missing, the key is decrypted now, and the file is written if the folder allows it.

        Args:
            name: The user's name.
            password: Decrypts the key; None is ``TPLUS_PASSWORD``, else the terminal is asked.

        Returns:
            A locked `LocalUser`; without a ``.pub`` file, a `User` that is ready to sign.

        Raises:
            KeyfileError: The public key's file is damaged; a file or the folder cannot be read; there is no home
                folder; or, without a ``.pub`` file, the password is wrong or the keyfile is damaged.
            ValueError: The name is illegal, no such user is stored, or there is no password.
        """
        password = conceal(password)
        path = self._path(name)
        if not files.is_file(path):
            raise ValueError(f"no user {name!r} in {self._folder}; {self._advice(repr(name))}")
        files.warn_if_open(path)

        def unlock() -> PrivateKey:  # a closure, because the repr of a partial would show the password
            keyfile = files.read_small(path)
            try:
                return decrypt_keyfile(keyfile, _password(password, name))
            except KeyfileError as error:
                raise KeyfileError(f"user {name!r}: {error}") from None

        public_path = _public_path(path)
        if os.path.lexists(public_path):
            return LocalUser(_read_public_key(public_path), unlock)
        user = User(unlock())
        with contextlib.suppress(OSError), files.staged(path.parent, _public_line(user)) as staged:
            files.put_over(staged, public_path)  # loading works without the right to write
        return user

    def load_default(self, password: str | None = None) -> User | None:
        """Load the user that :meth:`set_default` named, else the only stored user.

        Args:
            password: As :meth:`load`.

        Returns:
            The user; None if no default is set and there is no stored user, or several.

        Raises:
            KeyfileError: As :meth:`load`.
            ValueError: As :meth:`load`.
        """
        password = conceal(password)
        names = self.usernames if self._default is None else (self._default,)
        return self.load(names[0], password) if len(names) == 1 else None

    def set_default(self, name: str) -> None:
        """Set which user :meth:`load_default` loads. This manager keeps it in memory only.

        Args:
            name: The user's name; the user need not be stored yet.

        Raises:
            ValueError: The name is illegal.
        """
        self._path(name)
        self._default = name

    def _advice(self, name: str) -> str:
        """The advice of an error about a missing user; ``name`` is Python source for the name."""
        stored = f"stored: {', '.join(names)}; " if (names := self.usernames) else ""
        folder = "" if self._folder == _DEFAULT_FOLDER else repr(str(self._folder))
        return f"{stored}create one with UserManager({folder}).generate({name})"

    def _path(self, name: str) -> Path:
        fault = _name_fault(name)
        if fault is not None:
            raise ValueError(
                f"not a user name ({fault}): {name!r:.300}; a name is 1 to {_MAX_NAME_BYTES} bytes of UTF-8, "
                "without '/', '\\' and control characters; it does not begin with '.' and does not end in '.pub'"
            )
        return self.folder / name

    def _store(self, name: str, key: Ed25519PrivateKey, password: str | None) -> User:
        path = self._path(name)
        taken = f"there is a user {name!r} in {self.folder} already"
        if os.path.lexists(path):  # before the password prompt
            raise ValueError(taken)
        keyfile = encrypt_keyfile(key.private_bytes_raw(), _password(password, name, new=True))
        files.make_private(self.folder)
        user = User(key)
        # Write both files before renaming either, so that a full disk fails while nothing is stored.
        with (
            files.staged(path.parent, keyfile) as staged_key,
            files.staged(path.parent, _public_line(user)) as staged_public,
        ):
            try:
                files.put_new(staged_key, path)
            except FileExistsError:
                raise ValueError(taken) from None
            try:
                # After the keyfile, so that only the process that created the keyfile writes it. It replaces the
                # public key that a deleted user may have left.
                files.put_over(staged_public, _public_path(path))
            except BaseException:
                with contextlib.suppress(OSError):
                    path.unlink()
                raise
        return user


def _name_fault(name: str) -> str | None:
    """Why ``name`` is not a legal user name; None if it is legal."""
    try:
        size = len(check_instance("a user name", name, str).encode())
    except UnicodeEncodeError:
        return "it has no UTF-8 form"
    if not 1 <= size <= _MAX_NAME_BYTES:
        return f"it is {size} bytes long"
    if any(character in "/\\" or unicodedata.category(character) in _NO_LETTERS for character in name):
        return "it contains a separator or a control character"
    if name.startswith("."):
        return "it begins with '.'"
    return "it ends in '.pub'" if name.endswith(_PUBLIC_SUFFIX) else None


def _public_path(path: Path) -> Path:
    return path.with_name(path.name + _PUBLIC_SUFFIX)


def _public_line(user: User) -> bytes:
    return f"{user.public_key}\n".encode()


def _password(password: str | None, name: str, *, new: bool = False) -> str:
    if password is not None:
        return password
    if from_environment := SecretText(os.environ.get(_ENVIRONMENT, "")):
        return from_environment
    if not has_terminal():
        raise ValueError(
            f"no password for user {name!r}: pass password=…, or set {_ENVIRONMENT}; there is no terminal to ask at"
        )
    if not new:
        return ask_password(f"Password of {name}: ")
    typed = ask_password(f"New password for {name}: ")
    if not typed:
        raise ValueError("the password is empty; type at least one character")
    if ask_password("Repeat the password: ") != typed:
        raise ValueError("the two passwords differ; nothing was stored")
    return typed


def _read_public_key(path: Path) -> str:
    text = files.read_small(path).decode("utf-8-sig", "replace").strip()  # some editors write a byte order mark
    try:
        return to_user_public_key(text)
    except ValueError:
        raise KeyfileError(f"not a public key of 64 hexadecimal digits: {path}") from None


#: The manager of ``~/.tplus/users``, which :func:`load_user` uses.
user_manager: Final = UserManager()


def load_user(name: str | None = None, password: str | None = None) -> User:
    """Load a user of :data:`user_manager`: the named one, else its default, else the only stored user.

    The first signature decrypts its private key; see :meth:`UserManager.load`. Blocks and cannot be cancelled; in a
    trio program, call it in a thread.

    Args:
        name: The user's name; None is the default.
        password: Decrypts the key; None is ``TPLUS_PASSWORD`` from the environment, else the terminal is asked.

    Returns:
        The user, as :meth:`UserManager.load` returns it.

    Raises:
        KeyfileError: As :meth:`UserManager.load`.
        ValueError: There is no such user; or no name was given, no default is set, and not exactly one user is
            stored.
    """
    password = conceal(password)
    if name is not None:
        return user_manager.load(name, password)
    user = user_manager.load_default(password)
    if user is None:
        advice = ("" if user_manager.usernames else "none is stored; ") + user_manager._advice("'alice'")
        raise ValueError(f"no user named, and no default in {_DEFAULT_FOLDER}; {advice}")
    return user
