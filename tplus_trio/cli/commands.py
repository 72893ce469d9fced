"""The commands by name. The module of a command is imported when the command is used, so that the help is quick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import click

from tplus_trio.cli.failure import EXIT_STATUSES, INTERRUPTED, USAGE, Failure, complain
from tplus_trio.cli.options import examples

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["COMMANDS", "PROGRAM", "load_command", "root", "run_command"]

PROGRAM: Final = "tplus-trio"


class _Entry(NamedTuple):
    """Where a command is: a module of `tplus_trio.cli`, and the attribute there; and what it does, in one line."""

    module: str
    attribute: str
    help: str


#: A command's docstring begins with the line that stands here.
COMMANDS: Final[Mapping[str, _Entry]] = {
    "demo": _Entry("demo_command", "demo", "See what the library does when the network fails and a bot is killed."),
    "book": _Entry("book_commands", "book", "Show the live order book of a market, until Ctrl-C."),
    "snapshot": _Entry("book_commands", "snapshot", "Print the order book of a market as it is now, read over REST."),
    "exchange": _Entry("exchange_command", "exchange", "Serve a simulated exchange until Ctrl-C."),
    "stream": _Entry("stream_command", "stream", "Print one feed, one item a line."),
    "klines": _Entry("klines_command", "klines", "Show the candles of a market, as lines, as a chart or as a PNG."),
    "order": _Entry("order.command", "order", "Create, cancel, replace and list orders of a stored user."),
    "positions": _Entry("positions_command", "positions", "Show the open positions of a stored user."),
    "accounts": _Entry("accounts_command", "accounts", "Create, add, list and show stored users."),
    "record": _Entry("record.command", "record", "Record public feeds on a tape, until Ctrl-C or --for."),
    "replay": _Entry("replay_command", "replay", "Serve a tape as an exchange, until Ctrl-C."),
    "export": _Entry(
        "export.command", "export", "Make a table of a tape, a row for each change of a level and each trade."
    ),
    "completion": _Entry("completion_command", "completion", "Print the script that completes commands in a shell."),
}


def load_command(name: str) -> click.Command | None:
    """Import a command; None if there is none of this name."""
    if (entry := COMMANDS.get(name)) is None:
        return None
    module = import_module(f"tplus_trio.cli.{entry.module}")
    return cast("click.Command", getattr(module, entry.attribute))


class _Commands(click.Group):
    """The commands of `COMMANDS`; listing them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - a method of click
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        return load_command(cmd_name)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - as above
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - completion only

        found = [
            CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


_EPILOG: Final = "\n\n".join(
    [
        examples("demo", "stream depth 200 --count 5", "order create 200 buy 0.005 --price 9.00 --user alice"),
        "\n".join(["\b", "Exit status:", *(f"  {status:>3}  {text}" for status, text in EXIT_STATUSES.items())]),
    ]
)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.option(
    "--config",
    metavar="FILE",
    envvar="TPLUS_CONFIG",
    show_envvar=True,
    help="The file of settings.  [default: config.toml in the folder tplus of your settings]",
)
@click.version_option(package_name="tplus-trio", prog_name=PROGRAM)
def root(config: str | None) -> None:
    """The T+ exchange on the command line.

    Ctrl-C ends every command. A setting is read from an option, else from a variable such as TPLUS_URL, else from the
    file of settings.
    """
    del config  # `tplus_trio.cli.settings` reads it when a setting is needed


def run_command(args: Sequence[str] | None) -> int:
    """Run a command line and return the exit status; see `tplus_trio.cli.main`."""
    try:
        return cast("int", root.main(args, prog_name=PROGRAM, standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as exc:
        exc.show()
        return USAGE
    except click.UsageError as exc:
        path = PROGRAM if exc.ctx is None else exc.ctx.command_path
        return complain(Failure(f"{exc.format_message()} Try: {path} --help", USAGE), path)
    except click.ClickException as exc:
        return complain(Failure(exc.format_message(), exc.exit_code))
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Failure as exc:
        return complain(exc)
