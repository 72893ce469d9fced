"""The options of ``tplus-trio accounts``."""

from __future__ import annotations

import click

from tplus_trio.cli.options import examples

__all__ = ["accounts"]

_json = click.option("--json", is_flag=True, help="Print one JSON object a line.")
#: click would repeat arguments that are too many, and one of them might be a key.
_extra_arguments = {"allow_extra_args": True}


def _check_arguments() -> None:
    """Refuse arguments after the name, without repeating them."""
    if click.get_current_context().args:
        raise click.UsageError("NAME is the only argument; a private key is read from a prompt or standard input.")


@click.group("accounts", epilog=examples("accounts generate alice", "accounts add bob < key.txt", "accounts list"))
def accounts() -> None:
    """Create, add, list and show stored users.

    A user is a key file in ~/.tplus/users, which a password encrypts. The password is read from the variable
    TPLUS_PASSWORD, or else at the terminal. No option takes a password or a private key.
    """


@accounts.command("generate", context_settings=_extra_arguments, epilog=examples("accounts generate alice"))
@click.argument("name")
@_json
def _generate(name: str, json: bool) -> int:
    """Generate a key and store it as the user NAME. An existing user is never replaced."""
    _check_arguments()
    from tplus_trio.cli import accounts as program  # noqa: PLC0415 - the help does not need it

    return program.print_users([program.generate(name)], json=json)


@accounts.command(
    "add", context_settings=_extra_arguments, epilog=examples("accounts add bob", "accounts add bob < key.txt")
)
@click.argument("name")
@_json
def _add(name: str, json: bool) -> int:
    """Store an existing private key as the user NAME. An existing user is never replaced.

    The key is typed at a prompt that does not show it, or read as one line from standard input: 64 hexadecimal digits
    (the seed), or 128 (the seed and the public key). If it is read from standard input, set TPLUS_PASSWORD.
    """
    _check_arguments()
    from tplus_trio.cli import accounts as program  # noqa: PLC0415 - the help does not need it

    return program.print_users([program.add(name)], json=json)


@accounts.command("list", epilog=examples("accounts list", "accounts list --json"))
@_json
def _list(json: bool) -> int:
    """List the stored users with their public keys. It needs no password."""
    from tplus_trio.cli import accounts as program  # noqa: PLC0415 - the help does not need it

    return program.print_users(program.stored(), json=json, where_none=True)


@accounts.command("show", epilog=examples("accounts show alice"))
@click.argument("name")
@_json
def _show(name: str, json: bool) -> int:
    """Show the public key and the key file of the stored user NAME. It needs no password."""
    from tplus_trio.cli import accounts as program  # noqa: PLC0415 - the help does not need it

    return program.print_users([program.one(name)], json=json, with_files=True)
