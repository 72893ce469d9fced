"""Parses the ``Retry-After`` header in all its forms. Pure except for the clock."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Final

__all__ = ["parse_date", "retry_after"]

#: Characters. Longer values are ignored.
_LONGEST: Final = 1000
_SECONDS: Final = re.compile(r"[0-9]{1,300}(?:\.[0-9]+)?")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = "|".join(_MONTHS)
_TIME: Final = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_ZONE: Final = r"(?:GMT|UTC|[+-]0000)"
#: RFC 9110, section 5.6.7: the present form of a date, and the two obsolete ones.
_FORMS: Final = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"[a-z]{{3}}, (?P<day>\d\d?) (?P<month>{_MONTH}) (?P<year>\d{{4}}) {_TIME} {_ZONE}",
        rf"[a-z]{{6,9}}, (?P<day>\d\d)-(?P<month>{_MONTH})-(?P<year>\d\d) {_TIME} {_ZONE}",
        rf"[a-z]{{3}} (?P<month>{_MONTH}) {{1,2}}(?P<day>\d\d?) {_TIME} (?P<year>\d{{4}})",
    )
)
#: One of several values: a date, which may hold a comma, or the text between two commas.
_VALUE: Final = re.compile(
    "|".join([*(re.sub(r"\?P<\w+>", "?:", form.pattern) for form in _FORMS), r"[^,\s][^,]*"]), re.IGNORECASE | re.ASCII
)


def retry_after(value: str, *, date: str | None = None) -> float | None:
    """Parse a ``Retry-After`` header, and return the seconds that it asks for.

    Args:
        value: The header: seconds (a fraction is legal) or a date in any form of RFC 9110. A proxy may join several
            values by commas; the longest wait is returned.
        date: The ``Date`` header of the same answer. A date in ``value`` is compared with it, so that the two clocks
            need not agree. Without a valid ``Date`` header, it is compared with the local clock.

    Returns:
        Seconds, 0 or more; None if the header holds neither seconds nor a date.
    """
    if len(value) > _LONGEST:
        return None
    now = parse_date((date or "")[:_LONGEST].strip()) or datetime.now(UTC)
    waits = [_wait(part.strip(), now) for part in _VALUE.findall(value)]
    return max((wait for wait in waits if wait is not None), default=None)


def _wait(value: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(value):
        seconds = float(value)
        return seconds if math.isfinite(seconds) else None
    at = parse_date(value, now)
    return None if at is None else max((at - now).total_seconds(), 0.0)


def parse_date(value: str, now: datetime | None = None) -> datetime | None:
    """Parse a date in any form of RFC 9110; return None for anything else.

    Args:
        value: The date.
        now: The present time, from which a year of two digits is completed; by default the local clock's.
    """
    found = next((match for form in _FORMS if (match := form.fullmatch(value))), None)
    if found is None:
        return None
    month = _MONTHS.index(found["month"].lower()) + 1
    year = int(found["year"])
    # 60 is legal in a leap second, but not in a datetime.
    clock = int(found["hour"]), int(found["minute"]), min(int(found["second"]), 59)
    try:
        if len(found["year"]) == 4:
            return datetime(year, month, int(found["day"]), *clock, tzinfo=UTC)
        now = now or datetime.now(UTC)
        century = now.year // 100 * 100
        at = datetime(century + year, month, int(found["day"]), *clock, tzinfo=UTC)
        # RFC 9110: a year of two digits that appears to be more than 50 years ahead is a year of the century before.
        return at.replace(year=at.year - 100) if at > now.replace(year=now.year + 50) else at
    except ValueError:
        return None
