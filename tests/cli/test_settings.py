"""Settings: an option counts before a variable, a variable before the file, and errors say what is legal."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tplus_trio.cli import main
from tplus_trio.cli.commands import root
from tplus_trio.cli.failure import USAGE, Failure
from tplus_trio.cli.options import duration
from tplus_trio.cli.services import (
    DEFAULT_OMS_URL,
    DEFAULT_URL,
    Services,
    market_data_options,
    order_options,
    services,
)
from tplus_trio.cli.settings import SETTINGS, default_file, read_file, value_of

ONE, TWO, THREE, FOUR = (f"http://host-{number}" for number in range(1, 5))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for key in (*SETTINGS, "config", "password"):
        monkeypatch.delenv(f"TPLUS_{key.upper()}", raising=False)


def settle(*arguments: str, file: Path | None = None, market_data: bool = False) -> tuple[Services, Any]:
    """Parse a command line; return the services, and the user."""
    found: list[tuple[Services, Any]] = []

    @click.command()
    @(market_data_options if market_data else order_options)
    def command() -> None:
        found.append((services(), None if market_data else value_of("user")))

    group = click.Group(params=root.params, commands={"command": command}, callback=lambda **_: None)
    named = [] if file is None else ["--config", str(file)]
    group.main([*named, "command", *arguments], standalone_mode=False)
    return found[0]


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_the_defaults() -> None:
    assert settle() == (Services(DEFAULT_URL, DEFAULT_OMS_URL, {}), None)
    assert settle(market_data=True)[0].url == DEFAULT_URL


def test_what_counts_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = write(tmp_path / "file.toml", f'url = "{ONE}"\nuser = "one"\ntimeout = 1\n')
    assert settle(file=file) == (Services(ONE, ONE, {"timeout": 1.0}), "one")
    monkeypatch.setenv("TPLUS_URL", TWO)
    monkeypatch.setenv("TPLUS_USER", "two")
    assert settle(file=file) == (Services(TWO, TWO, {"timeout": 1.0}), "two")
    options = ("--url", THREE, "--user", "three", "--timeout", "0.5")
    assert settle(*options, file=file) == (Services(THREE, THREE, {"timeout": 0.5}), "three")


def test_the_order_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own URL counts before the exchange's, but an option for either counts before a variable."""
    file = write(tmp_path / "file.toml", f'url = "{ONE}"\noms_url = "{TWO}"\n')
    assert settle(file=file)[0][:2] == (ONE, TWO)
    monkeypatch.setenv("TPLUS_OMS_URL", THREE)
    assert settle(file=file)[0][:2] == (ONE, THREE)
    monkeypatch.setenv("TPLUS_URL", FOUR)
    assert settle(file=file)[0][:2] == (FOUR, THREE)
    assert settle("--url", ONE, file=file)[0][:2] == (ONE, ONE)
    assert settle("--oms-url", TWO, file=file)[0][:2] == (FOUR, TWO)
    assert settle("--oms-url", TWO, "--url", ONE, file=file)[0][:2] == (ONE, TWO)


def test_the_default_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_file() == tmp_path / "config" / "tplus" / "config.toml"
    write(default_file(), f'url = "{ONE}"\n')
    assert settle()[0].url == ONE
    monkeypatch.setenv("TPLUS_CONFIG", str(write(tmp_path / "other", f'url = "{TWO}"\n')))
    assert settle()[0].url == TWO


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('ur = "http://host"', "unknown key 'ur'; legal are oms_url, timeout, url, user"),
        ('password = "hunter2"', "unknown key 'password'; legal are oms_url, timeout, url, user; set the variable "),
        ("[url]\n", "url: legal is http(s)://host[:port][/prefix]"),
        ('url = "ftp://hunter2"', "url: a base URL's scheme is http or https; legal is http(s)://host[:port][/prefix]"),
        ('oms_url = "http://me:hunter2@host"', "oms_url: a base URL holds no user name or password; legal is "),
        ("user = 1", "user: legal is the name of a stored user"),
        ("timeout = 0", "timeout: legal is a number of seconds, more than 0"),
        ("timeout = true", "timeout: legal is a number of seconds, more than 0"),
        ('timeout = "soon"', "timeout: legal is a number of seconds, more than 0"),
        ("timeout = inf", "timeout: legal is a number of seconds, more than 0"),
        ("url", "not a TOML file: "),
        ("a = " + "[" * 100_000, "not a TOML file: it is nested too deeply"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    file = write(tmp_path / "file.toml", text)
    with pytest.raises(Failure) as raised:
        read_file(file, must_exist=True)
    assert str(raised.value).startswith(f"{file}: {problem}")
    assert "hunter2" not in str(raised.value)
    assert raised.value.status == USAGE


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    problems = {tmp_path / "bytes": "it is not UTF-8", tmp_path: "Is a directory", tmp_path / "no": "no such file"}
    for file, problem in problems.items():
        with pytest.raises(Failure, match=problem):
            read_file(file, must_exist=True)
    assert read_file(tmp_path / "no", must_exist=False) == {}


def test_a_default_file_out_of_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The home folder may belong to another user, as in a container, or not exist. A file that was named counts."""
    file = write(tmp_path / "config.toml", f'url = "{ONE}"\n')
    monkeypatch.chdir(tmp_path)
    assert read_file(Path(file.name), must_exist=False) == {}
    assert read_file(file / "config.toml", must_exist=False) == {}
    assert read_file(file, must_exist=False) == {"url": ONE}

    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(Failure, match="Permission denied"):
        read_file(file, must_exist=False)
    monkeypatch.setattr(Path, "stat", refuse)
    assert read_file(file, must_exist=False) == {}
    with pytest.raises(Failure, match="Permission denied"):
        read_file(file, must_exist=True)


def test_the_command_says_what_is_wrong(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = write(tmp_path / "file.toml", 'ur = "http://host"')
    assert main(["--config", str(file), "stream", "trades"]) == USAGE
    problem = f"tplus-trio: {file}: unknown key 'ur'; legal are oms_url, timeout, url, user\n"
    assert capfd.readouterr() == ("", problem)
    assert main(["--config", str(file), "stream", "--help"]) == 0  # which needs no settings


def test_a_variable_that_is_wrong(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPLUS_URL", "ftp://hunter2")
    assert main(["stream", "trades"]) == USAGE
    err = capfd.readouterr().err
    assert "TPLUS_URL" in err
    assert "legal is http(s)://host" in err
    assert "hunter2" not in err


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPLUS_URL", "")
    assert settle()[0].url == DEFAULT_URL


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), ("30", 30.0), ("1.5 h", 5400.0), (".5s", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    command = click.Command("command", params=[click.Option(["--for"], callback=duration)], callback=lambda **kw: kw)
    assert command.main(["--for", text], standalone_mode=False) == {"for": seconds}


@pytest.mark.parametrize("text", ["", "0", "0ms", "-1s", "1d", "s", "1e3", "1 0s", "inf", "nan", "9" * 400, "\u0661s"])
def test_what_is_no_duration(text: str) -> None:
    command = click.Command("command", params=[click.Option(["--for"], callback=duration)])
    ended = CliRunner().invoke(command, ["--for", text])
    assert ended.exit_code == USAGE
    assert "like 500ms, 30s, 5m, 1h" in ended.output
