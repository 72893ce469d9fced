"""Users on disk: an encrypted keyfile each, and its public key beside it.

Everything here blocks: on the disk, on the key derivation (about 0.1 s), and on whoever is asked for a
password. In a trio program call it before the loop starts, or in a thread (``trio.to_thread.run_sync``).
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
#: A file name holds 255 bytes, and the public key's file has four more than the keyfile's.
_MAX_NAME_BYTES: Final = 255 - len(_PUBLIC_SUFFIX)
#: Control characters, and what ends lines or paragraphs.
_NO_LETTERS: Final = frozenset({"Cc", "Zl", "Zp"})
_DEFAULT_FOLDER: Final = Path("~/.tplus/users")


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
        self._folder = _DEFAULT_FOLDER if folder is None else Path(folder)
        self._default: str | None = None

    @property
    def folder(self) -> Path:
        """Where the users are stored; it need not exist yet.

        Raises:
            KeyfileError: It is in the home folder, and there is none.
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
            KeyfileError: The public key's file is damaged; a file or the folder cannot be read, or there is no home
                folder; without a public key's file, also what decrypting may raise.
            ValueError: The name is illegal, no such user is stored, or there is no password.
        """
        password = conceal(password)
        path = self._path(name)
        if not files.is_file(path):
            raise ValueError(f"no user {name!r} in {self._folder}; {self._advice(repr(name))}")
        files.warn_if_open(path)

        def unlock() -> PrivateKey:  # a closure: the password shows in no repr, as it would in a partial's
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
            files.put_over(staged, public_path)  # a reader need not have the right to write
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

    def _advice(self, name: str) -> str:
        """What to do where a user is not stored; ``name`` as it is to be typed."""
        stored = f"stored: {', '.join(names)}; " if (names := self.usernames) else ""
        folder = "" if self._folder == _DEFAULT_FOLDER else repr(str(self._folder))
        return f"{stored}create one with UserManager({folder}).generate({name})"

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
        files.make_private(self.folder)
        user = User(key)
        # Both are on the disk before either has its name: a full disk is found out while nothing is stored.
        with (
            files.staged(path.parent, keyfile) as staged_key,
            files.staged(path.parent, _public_line(user)) as staged_public,
        ):
            try:
                files.put_new(staged_key, path)
            except FileExistsError:
                raise ValueError(taken) from None
            try:
                # Second, so that only the one who made the keyfile writes it. A public key may be left over from a
                # user that was deleted, so it is replaced.
                files.put_over(staged_public, _public_path(path))
            except BaseException:
                with contextlib.suppress(OSError):
                    path.unlink()
                raise
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
        raise ValueError("an empty password would protect nothing")
    if ask_password("The same again: ") != typed:
        raise ValueError("the two passwords differ; nothing was stored")
    return typed


def _read_public_key(path: Path) -> str:
    text = files.read_small(path).decode("utf-8-sig", "replace").strip()  # some editors begin a file with a mark
    try:
        return to_user_public_key(text)
    except ValueError:
        raise KeyfileError(f"not a public key of 64 hexadecimal digits: {path}") from None


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
        advice = ("" if user_manager.usernames else "none is stored; ") + user_manager._advice("'alice'")
        raise ValueError(f"no user named, and no default in {_DEFAULT_FOLDER}; {advice}")
    return user
