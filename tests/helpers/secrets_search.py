"""Collects everything that an error, a log record or an object shows, and searches it for secrets."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import tplus_trio

__all__ = ["assert_no_secret", "chain", "locals_of", "said_by", "spellings", "told_by_records"]

_PACKAGE = str(Path(tplus_trio.__file__).parent)


def spellings(secret: bytes | str) -> set[str]:
    """Return the spellings of a secret, and of half of it."""
    raw = secret.encode() if isinstance(secret, str) else secret
    found = {raw.hex(), raw.hex().upper(), repr(raw)[2:-1]}
    found |= {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    numbers = list(map(str, raw))
    found |= {between.join(numbers) for between in (",", ", ", ",\n", " ")}
    if isinstance(secret, str):
        found |= {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")}
    return {text for spelling in found for text in (spelling[: len(spelling) // 2], spelling[len(spelling) // 2 :])}


def chain(error: BaseException | None, seen: set[int] | None = None) -> Iterator[BaseException]:
    """Return an error with its causes, contexts and members, shown by a traceback or not."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    yield from chain(error.__cause__, seen)
    yield from chain(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from chain(part, seen)


def locals_of(error: BaseException) -> str:
    """Return the locals of this project's frames, as a traceback with ``capture_locals`` shows them."""
    # Not with `capture_locals` itself: a repr of another package's locals may fail.
    return "\n".join(
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name} {name} = {value!r}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename.startswith(_PACKAGE)
        for name, value in frame.f_locals.items()
    )


def said_by(error: BaseException) -> Iterator[str]:
    """Return everything that an error shows."""
    for link in chain(error):
        yield "".join(traceback.format_exception(link))
        yield locals_of(link)
        yield from (str(link), repr(link), repr(link.args), repr(vars(link)), repr(getattr(link, "__notes__", ())))
        if type(link).__module__.startswith("tplus_trio"):
            yield repr(pickle.dumps(link))


def told_by_records(records: Iterable[logging.LogRecord]) -> Iterator[str]:
    """Return everything that log records show, with their arguments and errors."""
    for record in records:
        yield record.getMessage()
        yield repr(record.__dict__)
        given = record.args.values() if isinstance(record.args, dict) else record.args or ()
        for value in (*given, record.exc_info[1] if record.exc_info else None):
            if isinstance(value, BaseException):
                yield from said_by(value)


def assert_no_secret(told: Iterable[str], *secrets: bytes | str) -> None:
    """Fail if any spelling of a secret is in the texts."""
    wanted = {text for secret in secrets for text in spellings(secret)}
    everything = "\n".join(dict.fromkeys(told))
    for spelling in wanted:
        at = everything.find(spelling)
        assert at < 0, f"{spelling!r} in …{everything[max(0, at - 200) : at + 60]!r}…"
