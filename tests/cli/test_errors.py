"""What the command line refuses: one clear line on standard error, and never a traceback."""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.commands import finished
from tplus_trio.cli import main

SNAPSHOT = '{"t_ns": 0, "get": "/marketdepth/7", "body": "{\\"asks\\":[],\\"bids\\":[],\\"sequence_number\\":1}"}\n'


def depth(frame: str, market: str = "7") -> str:
    return json.dumps({"t_ns": 1, "ws": f"/marketdepth/diff/{market}", "frame": frame}) + "\n"


TAPES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "the tape holds no frames"),
    "not JSON": (SNAPSHOT + "nope\n", "line 2 of the tape is not JSON"),
    "no entry": ('{"t_ns": 1}\n', "line 1 of the tape is neither"),
    "deep": ("[" * 100_000 + "\n", "line 1 of the tape is not JSON"),
    "not UTF-8": (b"\xff\xfe", "can't decode byte 0xff"),
    "no market": (depth("{}", "ETH"), "an asset is"),
    "no snapshot": (depth('{"asks":[],"bids":[],"sequence_number":2}'), "no snapshot of market 7"),
    "bad snapshot": (
        SNAPSHOT.replace("[]", "[[1]]") + depth('{"asks":[],"bids":[],"sequence_number":2}'),
        "cannot be served",
    ),
    "not a frame": (SNAPSHOT + depth("nope"), "is not JSON: nope"),
    "frame of another feed": (SNAPSHOT + depth('{"price":1}'), "is not of that feed"),
    "bad number": (SNAPSHOT + depth('{"asks":[["x",1]],"bids":[],"sequence_number":2}'), "is not of that feed"),
}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("tplus_trio.streams")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield str(listener.getsockname()[1])


@pytest.fixture
def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def complaint(capfd: pytest.CaptureFixture[str], *args: str, status: int = 1) -> str:
    """What a command says on standard error when it ends like this, having printed nothing."""
    assert main(args) == status
    out, err = capfd.readouterr()
    assert out == ""
    if args:
        assert err.startswith("tplus-trio")
        assert err.count("\n") == 1
        assert err.endswith("\n")
    return err


def test_a_port_in_use(capfd: pytest.CaptureFixture[str], taken_port: str) -> None:
    err = complaint(capfd, "exchange", "--port", taken_port)
    assert f"cannot listen on 127.0.0.1:{taken_port}: Address already in use" in err


def test_a_host_that_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    assert "cannot listen on 256.0.0.1:0" in complaint(capfd, "exchange", "--port", "0", "--host", "256.0.0.1")


def test_a_refused_connection(capfd: pytest.CaptureFixture[str], free_port: str) -> None:
    err = complaint(capfd, "stream", "trades", "--url", f"http://127.0.0.1:{free_port}")
    assert err == f"tplus-trio: could not connect to 127.0.0.1:{free_port}: Connection refused\n"


@pytest.mark.parametrize("url", ["ftp://host", "localhost:8011", "http://", "http://host:0", "http://a b", ""])
def test_a_bad_url(capfd: pytest.CaptureFixture[str], url: str) -> None:
    assert "legal is http(s)://host[:port][/prefix]" in complaint(capfd, "stream", "trades", "--url", url, status=2)


def test_a_url_with_a_password_is_not_repeated(capfd: pytest.CaptureFixture[str]) -> None:
    assert "secret" not in complaint(capfd, "stream", "trades", "--url", "http://me:secret@host", status=2)


@pytest.mark.parametrize("command", ["demo", "exchange"])
def test_a_missing_tape(capfd: pytest.CaptureFixture[str], tmp_path: Path, command: str) -> None:
    missing = str(tmp_path / "missing.jsonl")
    err = complaint(capfd, command, "--tape", missing)
    assert err == f"tplus-trio: the tape {missing}: No such file or directory\n"
    assert "Is a directory" in complaint(capfd, command, "--tape", str(tmp_path))


@pytest.mark.parametrize("name", TAPES)
def test_a_malformed_tape(capfd: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    text, reason = TAPES[name]
    tape = tmp_path / "tape.jsonl"
    tape.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert reason in complaint(capfd, "demo", "--tape", str(tape))


@pytest.mark.parametrize("name", ["../x", "nobody", ""])
def test_a_user_who_is_not_stored(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "--user: no" in complaint(capfd, "stream", "orders", "--user", name)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("nope", "No such command 'nope'"),
        ("stream", "Missing argument 'FEED'"),
        ("stream nope", "'nope' is not one of"),
        ("stream depth", "name its ASSET"),
        ("stream depth ETH", "an asset is a registry index"),
        ("stream trades 200", "takes no ASSET"),
        ("stream orders", "--user NAME"),
        ("demo --seconds 0", "0 is not more than 0"),
        ("demo --seconds nan", "nan is not more than 0"),
        ("demo --seconds inf", "inf is not finite"),
        ("demo --seconds x", "'x' is not a valid float"),
        ("demo --seed x", "'x' is not a valid integer"),
        ("exchange --port 99999", "99999 is not in the range"),
        ("exchange --speed -1", "-1 is not more than 0"),
        ("exchange --speed 2", "name one with --tape"),
        ("exchange --nope", "No such option"),
        ("stream trades --count 0", "0 is not in the range"),
        ("stream trades --for 5x", "'5x' is no time above 0, like 500ms"),
        ("stream trades --for 0s", "'0s' is no time above 0"),
        ("stream trades --timeout 0", "legal is a number of seconds, more than 0"),
        ("klines ETH", "an asset is a registry index"),
        ("klines 200 --interval 7", "'7' is not one of"),
        ("klines 200 --plot --json", "one of --plot, --png and --json"),
        ("order nope", "No such command 'nope'"),
        ("order create 200 buy 1 --yes", "either --price or --market"),
        ("order create 200 buy 1 --price 1 --market --yes", "either --price or --market"),
        ("order create 200 buy -- -1", "more than 0"),
        ("order create 200 buy x --price 1", "not a number: 'x'"),
        ("order create 200 buy nan --price 1", "NaN"),
        ("order create 200 hold 1 --price 1", "'hold' is not one of"),
        ("order create 200 buy 1 --market --tif gtc --yes", "--market does not rest"),
        ("order create 200 buy 1 --market --post-only --yes", "--market does not rest"),
        ("order create 200 sell 1 --market --max-amount 1 --yes", "--max-amount goes with --market and buy"),
        ("order create 200 buy 1 --price 1 --max-amount 1 --yes", "--max-amount goes with --market and buy"),
        ("order create 200 buy 1 --price 1 --tif gtd --yes", "--tif gtd and --expire go together"),
        ("order create 200 buy 1 --price 1 --expire 5m --yes", "--tif gtd and --expire go together"),
        ("order create 200 buy 1 --price 1 --tif ioc --post-only --yes", "--post-only is for an order that rests"),
        ("order create 200 buy 1 --price 1 --id 1234567890123456789012345 --yes", "1 to 24 UTF-8 bytes"),
        ("order create 200 buy 1 --price 1 --yes", "--user NAME"),
        ("order replace mine 200 --yes", "--price, --quantity, or both"),
        ("positions", "--user NAME"),
        ("accounts show", "Missing argument 'NAME'"),
        ("completion tcsh", "'tcsh' is not one of"),
    ],
)
def test_what_is_not_understood(capfd: pytest.CaptureFixture[str], arguments: str, reason: str) -> None:
    assert reason in complaint(capfd, *arguments.split(), status=2)


def test_no_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert "Commands:" in complaint(capfd, status=2)


@pytest.mark.parametrize("missing", ["click", "rich.console"])
def test_without_the_extra(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in list(sys.modules):
        if name.startswith("tplus_trio.cli."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["demo"]) == 2
    assert capfd.readouterr().err == ('The command line needs click and rich: pip install "tplus_trio[cli]"\n')


def test_an_interrupt_while_it_loads(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "tplus_trio.cli.commands":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "tplus_trio.cli.commands", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted, *sys.meta_path])
    assert main(["demo"]) == 130
    assert capfd.readouterr() == ("", "")


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    ended = finished("-m", "tplus_trio", "demo", "--tape", tmp_path / "missing")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"tplus-trio: the tape {tmp_path / 'missing'}: No such file or directory\n"
