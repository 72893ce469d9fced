"""The settings of the command line: from an option, else from a ``TPLUS_*`` variable, else from a file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from click.core import ParameterSource

from tplus_trio.cli.failure import USAGE, Failure

__all__ = ["SETTINGS", "default_file", "read_file", "setting", "source_of", "value_of"]

_FILE: Final = "tplus_trio.cli.settings"


class _Setting(NamedTuple):
    """What a setting is for, and how its value is checked."""

    metavar: str
    help: str
    #: Raises ValueError if a value is not legal; the message says what is, and does not repeat the value.
    check: Callable[[object], object]


def _url(value: object) -> str:
    from tplus_trio.transport.connector import Endpoint  # noqa: PLC0415 - the help does not need it

    if not isinstance(value, str):
        raise ValueError("legal is http(s)://host[:port][/prefix]")  # noqa: TRY004 - all errors of settings are
    Endpoint.from_url(value)
    return value


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("legal is the name of a stored user")  # noqa: TRY004 - as above
    return value


def _seconds(value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError("legal is a number of seconds, more than 0")
    return seconds


#: The settings by their keys in the file. For ``oms_url``, the option is ``--oms-url``, the variable ``TPLUS_OMS_URL``.
SETTINGS: Final[Mapping[str, _Setting]] = {
    "url": _Setting(
        "URL",
        "URL of the exchange.  [default: http://localhost:8011, and http://localhost:3032 for orders]",
        _url,
    ),
    "oms_url": _Setting("URL", "URL of the order service, if it is another one than --url.", _url),
    "user": _Setting("NAME", "Sign in as this stored user.", _name),
    "timeout": _Setting("SECONDS", "The longest time for one request.  [default: 10]", _seconds),
}


def setting(key: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """Return a decorator that adds the option of a setting to a command; `value_of` reads its value."""
    return click.option(
        f"--{key.replace('_', '-')}",
        key,
        cls=_SettingOption,
        metavar=SETTINGS[key].metavar,
        envvar=f"TPLUS_{key.upper()}",
        show_envvar=True,
        expose_value=False,
        callback=_keep,
        help=SETTINGS[key].help,
        shell_complete=_stored_users if key == "user" else None,
    )


def value_of(key: str) -> Any:
    """Return the value of a setting of the current command; None if it was given nowhere."""
    return click.get_current_context().meta[f"{_FILE}.{key}"][0]


def source_of(key: str) -> ParameterSource:
    """Return where the value of a setting of the current command comes from."""
    source: ParameterSource = click.get_current_context().meta[f"{_FILE}.{key}"][1]
    return source


def default_file() -> Path:
    """Return the file that is read unless another one is named: ``~/.config/tplus/config.toml`` on Linux."""
    return Path(click.get_app_dir("tplus"), "config.toml")


def read_file(file: Path, *, must_exist: bool) -> dict[str, Any]:
    """Read and check a file of settings.

    Args:
        file: The file.
        must_exist: Whether the user named it. If not, a file that is not there, or that lies in a folder of somebody
            else, has no settings.

    Raises:
        Failure: it cannot be read, is not TOML, or has an unknown key or an illegal value.
    """
    if not must_exist and not (file.is_absolute() and _is_there(file)):  # it is relative if there is no home folder
        return {}
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        raise Failure(f"{file}: no such file of settings", USAGE) from None
    except OSError as exc:
        raise Failure(f"{file}: {exc.strerror}", USAGE) from None
    try:
        found = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as exc:  # its text may quote the file, but not what it holds
        raise Failure(f"{file}: not a TOML file: {_without_content(exc)}", USAGE) from None
    for key, value in found.items():
        if key not in SETTINGS:
            advice = "; set the variable TPLUS_PASSWORD instead" if "password" in key else ""
            raise Failure(f"{file}: unknown key {key!r}; legal are {', '.join(sorted(SETTINGS))}{advice}", USAGE)
        try:
            found[key] = SETTINGS[key].check(value)
        except ValueError as exc:
            raise Failure(f"{file}: {key}: {exc}", USAGE) from None
    return found


def _is_there(file: Path) -> bool:
    """Return whether a file is there, as far as this process may see."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False  # a container may run as a user to whom the home folder does not belong
    except OSError:
        pass  # to read it shows what is wrong
    return True


def _without_content(exc: Exception) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(exc) if isinstance(exc, tomllib.TOMLDecodeError) else "it is nested too deeply"


def _settings_of_file(ctx: click.Context) -> dict[str, Any]:
    """Read the file of settings once for a command line, when the first setting is needed."""
    if _FILE not in ctx.meta:
        named: str | None = ctx.find_root().params.get("config")
        file = default_file() if named is None else Path(named)
        ctx.meta[_FILE] = read_file(file, must_exist=named is not None)
    found: dict[str, Any] = ctx.meta[_FILE]
    return found


class _SettingOption(click.Option):
    """An option whose value is read from the file of settings if neither an option nor a variable gives it."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, click.Parameter]) -> tuple[Any, ParameterSource]:
        value, source = super().consume_value(ctx, opts)
        if source is ParameterSource.DEFAULT and not ctx.resilient_parsing:
            found = _settings_of_file(ctx)
            if self.name in found:
                return str(found[self.name]), ParameterSource.DEFAULT_MAP
        return value, source


def _keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Check the value of a setting, and keep it for `value_of` (a callback of click)."""
    key = str(param.name)
    try:
        checked = None if value is None else SETTINGS[key].check(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None
    ctx.meta[f"{_FILE}.{key}"] = (checked, ctx.get_parameter_source(key))


def _stored_users(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a stored user."""
    from tplus_trio.users import user_manager  # noqa: PLC0415 - completion only

    try:
        return [name for name in user_manager.usernames if name.startswith(incomplete)]
    except ValueError:  # the folder cannot be read
        return []
