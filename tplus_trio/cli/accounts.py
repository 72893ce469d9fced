"""``tplus-trio accounts``: stored users. No password and no private key is printed, or is part of an error."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from tplus_trio.cli.failure import Failure, explaining
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.run import run
from tplus_trio.errors import KeyfileError
from tplus_trio.secret import SecretText
from tplus_trio.users import UserManager, user_manager
from tplus_trio.users.terminal import ask_password, has_terminal

__all__ = ["StoredUser", "add", "generate", "one", "print_users", "stored"]

#: Characters: more than the longest key with its prefix, white space and line end.
_LONGEST_LINE: Final = 1000


@attrs.frozen
class StoredUser:
    """A stored user as it is shown."""

    name: str
    #: 64 hex digits; None if it cannot be read without the password.
    public_key: str | None
    file: Path
    #: Why the public key cannot be read.
    problem: str | None = None


def generate(name: str, manager: UserManager = user_manager) -> StoredUser:
    """Generate a key and store it; asks for a password unless ``TPLUS_PASSWORD`` is set.

    Raises:
        Failure: the name is illegal or taken, there is no password, or a file cannot be written.
    """
    with explaining(f"accounts generate {name}", ValueError, OSError, EOFError):
        return StoredUser(name, manager.generate(name).public_key, manager.folder / name)


def add(name: str, manager: UserManager = user_manager) -> StoredUser:
    """Store a private key from a hidden prompt, or from standard input if that is no terminal.

    Raises:
        Failure: the key is not valid, or as `generate`.
    """
    with explaining(f"accounts add {name}", ValueError, OSError, EOFError):
        key = SecretText(_read_key(name).strip())
        if not key:
            raise Failure(f"accounts add {name}: no private key was given")
        return StoredUser(name, manager.add(name, key).public_key, manager.folder / name)


def _read_key(name: str) -> str:
    if has_terminal():
        return ask_password(f"Private key of {name}, in hexadecimal digits: ")
    if sys.stdin is None:
        return ""
    return SecretText(sys.stdin.readline(_LONGEST_LINE))


def stored(manager: UserManager = user_manager) -> list[StoredUser]:
    """List the stored users by name.

    Raises:
        Failure: the folder cannot be read.
    """
    with explaining("accounts list", ValueError):
        return [_read(name, manager) for name in manager.usernames]


def one(name: str, manager: UserManager = user_manager) -> StoredUser:
    """Return one stored user.

    Raises:
        Failure: there is no such user, or the folder cannot be read.
    """
    with explaining("accounts show", ValueError):
        names = manager.usernames
        if name not in names:
            raise Failure(f"no user {name!r} in {manager.folder}; stored: {', '.join(names) or 'none'}")
        return _read(name, manager)


def _read(name: str, manager: UserManager) -> StoredUser:
    """Read the public key from its file. Without the file, only the password would give it."""
    file = manager.folder / name
    if not file.with_name(f"{name}.pub").exists():
        return StoredUser(name, None, file, f"there is no file {name}.pub; the next sign-in writes it")
    try:
        return StoredUser(name, manager.load(name).public_key, file)
    except KeyfileError as exc:
        return StoredUser(name, None, file, str(exc))


def print_users(users: Sequence[StoredUser], *, json: bool, with_files: bool = False, where_none: bool = False) -> int:
    """Print users, one a line, and return the exit status.

    Args:
        users: The users.
        json: Whether to print JSON.
        with_files: Whether to print the paths of the key files, too. JSON has them in any case.
        where_none: Whether to say that there are none.
    """
    if json:
        return run(partial(_put, rows=[json_text.dumps(_fields(user), separators=(",", ":")) for user in users]))
    width = max((len(user.name) for user in users), default=0)
    rows = [f"{user.name:<{width}}  {user.public_key or f'not readable: {user.problem}'}" for user in users]
    if with_files:
        rows += [f"{user.file}" for user in users]
    if not users and where_none:
        rows = [f"no stored users in {user_manager.folder}; `tplus-trio accounts generate NAME` creates one"]
    return run(partial(_put, rows=rows))


def _fields(user: StoredUser) -> dict[str, Any]:
    return {"kind": "StoredUser", **attrs.asdict(user), "file": str(user.file)}


async def _put(lines: Lines, *, rows: Sequence[str]) -> int:
    for row in rows:
        await lines.put(row)
    return 0
