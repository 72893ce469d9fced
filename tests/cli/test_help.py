"""Help, version and completion: what stands there holds, and it is there at once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from tests.helpers.commands_page import PAGE
from tplus_trio.cli import main
from tplus_trio.cli.commands import COMMANDS, load_command, root
from tplus_trio.cli.failure import EXIT_STATUSES
from tplus_trio.cli.klines_command import klines
from tplus_trio.models import Interval

#: Seconds of processor time that the help may take.
LIMIT = 0.3


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """List a command and its subcommands, with the words that lead to each."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, *path, name)


ALL = dict(commands(root))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_help_has_an_example(capfd: pytest.CaptureFixture[str], path: tuple[str, ...]) -> None:
    assert main([*path, "--help"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith(f"Usage: {' '.join(['tplus-trio', *path])} ")
    shown = re.findall(r"^    (tplus-trio .*)", out.partition("Example")[2], re.MULTILINE)
    assert shown
    assert not path or all(" ".join(path) in line for line in shown)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_examples_can_be_parsed(path: tuple[str, ...]) -> None:
    """Each option and argument of an example is one of the command's."""
    for line in re.findall(r"^  tplus-trio (.*)$", ALL[path].epilog or "", re.MULTILINE):
        words = re.split(r" (?:<|>|>>) ", line)[0].split()
        command: click.Command = root
        context = click.Context(root)
        while isinstance(command, click.Group):
            found = command.get_command(context, words.pop(0))
            assert found is not None
            command = found
        with command.make_context("example", words):
            pass


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    command = load_command(name)
    assert command is not None
    assert (command.help or "").splitlines()[0] == COMMANDS[name].help
    assert command.name == name


def test_the_exit_statuses(capfd: pytest.CaptureFixture[str]) -> None:
    """They are the same in the help and on the page."""
    main(["--help"])
    out = capfd.readouterr().out
    for status, meaning in EXIT_STATUSES.items():
        assert f"{status}  {meaning}" in out
        assert f"| {status} | {meaning} |" in PAGE


def test_the_help_is_quick() -> None:
    """One process shows all of it, and imports neither trio nor a client for it."""
    source = (
        "import sys; from resource import RUSAGE_SELF, getrusage; from tplus_trio.cli import main\n"
        "for line in sys.argv[1:]: main([*line.split(), '--help'])\n"
        "heavy = {'trio', 'rich', 'attrs', 'tplus_trio.models'} & set(sys.modules)\n"
        "used = getrusage(RUSAGE_SELF); print(used.ru_utime + used.ru_stime, *heavy, file=sys.stderr)"
    )
    command = [sys.executable, "-c", source, *map(" ".join, ALL)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, *heavy = ended.stderr.split()
    assert heavy == []
    assert float(seconds) < LIMIT


def test_the_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"tplus-trio, version {version('tplus-trio')}\n"


def test_the_intervals() -> None:
    (option,) = (param for param in klines.params if param.name == "interval")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(Interval)


# Completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(capfd: pytest.CaptureFixture[str], shell: str) -> None:
    if shutil.which("bash") is None and shell == "bash":
        pytest.skip("click runs bash to ask for its version, and it is not installed")
    assert main(["completion", shell]) == 0
    out = capfd.readouterr().out
    assert f"_TPLUS_TRIO_COMPLETE={shell}_complete" in out
    if checker := shutil.which(shell):
        subprocess.run([checker, "-n"], input=out, text=True, check=True)


@pytest.fixture
def _stored_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three stored users; and a broken file of settings, which does not matter here."""
    folder = tmp_path / ".tplus" / "users"
    folder.mkdir(parents=True)
    for name in ("alice", "albert", "bob"):
        (folder / name).touch()
    (tmp_path / "config.toml").write_text("broken", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TPLUS_CONFIG", str(tmp_path / "config.toml"))


@pytest.mark.usefixtures("_stored_users")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ord", {"order"}),
        ("order c", {"create", "cancel", "cancel-all"}),
        ("stream user-", {"user-trades", "user-finalized-trades", "user-events"}),
        ("stream depth --js", {"--json"}),
        ("klines 200 --interval 1", {"1", "15", "120", "15S", "1D", "1M", "1S", "1W"}),
        ("positions --user al", {"alice", "albert"}),
        ("completion z", {"zsh"}),
    ],
)
def test_what_is_completed(words: str, found: set[str]) -> None:
    *before, incomplete = words.split()
    items = ShellComplete(root, {}, "tplus-trio", "_").get_completions(before, incomplete)
    assert {item.value for item in items} == found


@pytest.mark.usefixtures("_stored_users")
def test_a_shell_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TPLUS_TRIO_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "tplus-trio stream --user bo")
    monkeypatch.setenv("COMP_CWORD", "3")
    command = [sys.executable, "-c", "from tplus_trio.cli import main; main()"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("plain,bob\n", "")


def test_a_completed_command_has_its_help(monkeypatch: pytest.MonkeyPatch) -> None:
    with click.Context(root) as context:
        (item,) = root.shell_complete(context, "klin")
    assert (item.value, item.help) == ("klines", COMMANDS["klines"].help)
