"""``tplus-trio completion``: the script with which a shell completes commands."""

from __future__ import annotations

from typing import Final

import click

from tplus_trio.cli.options import examples

__all__ = ["completion"]

_SHELLS: Final = ("bash", "zsh", "fish")


@click.command(
    "completion",
    epilog=examples(
        "completion bash >> ~/.bashrc",
        "completion zsh >> ~/.zshrc",
        "completion fish > ~/.config/fish/completions/tplus-trio.fish",
    ),
)
@click.argument("shell", type=click.Choice(_SHELLS), metavar="SHELL")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the script that completes commands in a shell.

    SHELL is bash (4.4 or later), zsh or fish. The shell then completes commands, options, feeds and stored users.
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - the help does not need it

    root = ctx.find_root()
    program = root.info_name or "tplus-trio"
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"This version of click has no completion for {shell}.")
    variable = f"_{program.replace('-', '_')}_complete".upper()
    click.echo(kind(root.command, {}, program, variable).source())
    return 0
