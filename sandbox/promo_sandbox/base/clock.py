"""An org's clock, and the two notations of time: moments and durations.

A moment is an integer: nanoseconds since 1970-01-01T00:00:00Z. Scheduled events belong to the state, not to the clock.
"""

from __future__ import annotations

import re
import time
from calendar import monthrange
from datetime import MAXYEAR, UTC, date, datetime, timedelta
from functools import lru_cache

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
DAY = 86_400 * SECOND
EARLIEST = -62_167_219_200 * SECOND  # 0000-01-01T00:00:00Z, the first moment that RFC 3339 can express
LATEST = 253_402_300_799_999 * MILLISECOND  # 9999-12-31T23:59:59.999Z, the last one

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# RFC 3339 has a year 0, `datetime` does not; the calendar repeats every 400 years.
_400_YEARS = 146_097  # days
_YEAR_1 = -62_135_596_800  # seconds
_THOUSANDTHS = {"Z": 0} | {f".{number:03}Z": number for number in range(1000)}
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - for texts without their Z
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
# UTC days that ended with a leap second (IERS Bulletin C, as in `leapseconds` of the tz database, 2026).
_LEAP_DAYS = (
    *("1972-06-30", "1972-12-31", "1973-12-31", "1974-12-31", "1975-12-31", "1976-12-31", "1977-12-31", "1978-12-31"),
    *("1979-12-31", "1981-06-30", "1982-06-30", "1983-06-30", "1985-06-30", "1987-12-31", "1989-12-31", "1990-12-31"),
    *("1992-06-30", "1993-06-30", "1994-06-30", "1995-12-31", "1997-06-30", "1998-12-31", "2005-12-31", "2008-12-31"),
    *("2012-06-30", "2015-06-30", "2016-12-31"),
)
# The second after each leap second, counted since 1970.
_AFTER_LEAP_SECONDS = frozenset(
    (date.fromisoformat(day) - date(1970, 1, 1)).days * 86_400 + 86_400 for day in _LEAP_DAYS
)
_DURATION = re.compile(
    r"P(?!$)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?!$)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,9}))?S)?)?",
    re.ASCII,
)


class Clock:
    """Real time, shifted or frozen."""

    __slots__ = ("_frozen_at", "_offset")

    def __init__(self) -> None:
        self._offset = 0
        self._frozen_at: int | None = None

    def now(self) -> int:
        """The current moment in whole milliseconds, so that `text` shows it without loss."""
        if self._frozen_at is not None:
            return self._frozen_at
        moment = time.time_ns() + self._offset
        return moment - moment % MILLISECOND

    @property
    def frozen(self) -> bool:
        return self._frozen_at is not None

    @property
    def real(self) -> bool:
        """Whether the clock shows the time of the machine."""
        return self._frozen_at is None and self._offset == 0

    def set(self, moment: int) -> None:
        moment -= moment % MILLISECOND
        if self._frozen_at is None:
            self._offset = moment - time.time_ns()
        else:
            self._frozen_at = moment

    def freeze(self) -> None:
        self._frozen_at = self.now()

    def copy(self) -> Clock:
        """A clock with the same time and the same speed."""
        copied = Clock()
        copied._offset, copied._frozen_at = self._offset, self._frozen_at
        return copied

    def run(self) -> None:
        """Let a frozen clock continue from its current time."""
        if self._frozen_at is not None:
            moment, self._frozen_at = self._frozen_at, None
            self.set(moment)


def text(moment: int) -> str:
    """A moment as RFC 3339 text in UTC with milliseconds: `2030-01-01T00:00:00.000Z`.

    A moment before year 0 or after year 9999 is shown as the nearest possible one.
    """
    seconds, rest = divmod(min(max(moment, EARLIEST), LATEST), SECOND)
    return f"{_text_of_second(seconds)}.{rest // MILLISECOND:03d}Z"


@lru_cache(maxsize=256)  # many replies have the same second
def _text_of_second(seconds: int) -> str:
    if seconds < _YEAR_1:
        return "0000" + (_EPOCH + timedelta(seconds=seconds, days=_400_YEARS)).isoformat()[4:19]
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


@lru_cache(maxsize=1024)  # rules, sorted lists and the agenda parse the same texts
def parse(written: str) -> int:
    """The moment of an RFC 3339 text. Raises `ValueError` for any other text.

    A leap second counts as the second after it. Second 60 is valid only where UTC had a leap second (RFC 3339, 5.7).
    """
    # The two usual forms; the one with milliseconds is our own. Some versions of Python accept an hour 24.
    thousandths = _THOUSANDTHS.get(written[19:]) if len(written) in (20, 24) else None
    if thousandths is not None and written[4:19:3] == "--T::" and written[11:13] != "24":
        try:
            since = datetime.fromisoformat(written[:19]) - _NAIVE_EPOCH
        except ValueError:
            pass  # a leap second, or not a date
        else:
            return (since.days * 86_400 + since.seconds) * SECOND + thousandths * MILLISECOND
    match = _RFC3339.fullmatch(written)
    if match is None:
        raise ValueError(f"{written!r} is not an RFC 3339 date-time such as 2030-01-01T00:00:00Z")
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    fraction = match[7]
    shift = 400 if year == 0 else 0
    offset_hour, offset_minute = int(match[9] or 0), int(match[10] or 0)
    if max(hour, offset_hour) > 23 or max(minute, offset_minute) > 59 or second > 60:  # noqa: PLR2004 - a leap second
        raise ValueError(f"{written!r} names no time of day")
    days = datetime(year + shift, month, day, tzinfo=UTC).toordinal() - 719_163 - (_400_YEARS if shift else 0)
    offset = (offset_hour * 60 + offset_minute) * (-60 if match[8] == "+" else 60)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second + offset
    if second == 60 and seconds not in _AFTER_LEAP_SECONDS:  # noqa: PLR2004 - the same
        raise ValueError(f"{written!r} names a leap second that never was")
    return seconds * SECOND + int((fraction or "")[:9].ljust(9, "0"))


def later(moment: int, duration: str) -> int:
    """The moment that is an ISO 8601 duration (`P30D`, `PT1H30M`, `P1Y`) after another one.

    Years and months follow the calendar: one month after 31 January is the last day of February.
    Raises `ValueError` for an invalid duration, or if the result is after year 9999.
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is not an ISO 8601 duration such as P30D or PT1H30M")
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:7])
    nanoseconds = int((match[8] or "").ljust(9, "0"))
    end = _months_later(moment, 12 * years + months) if years or months else moment
    end += ((7 * weeks + days) * 24 + hours) * 3600 * SECOND + (minutes * 60 + seconds) * SECOND + nanoseconds
    if end > LATEST:
        raise ValueError(f"{duration} from now is after the year 9999")
    return end


def _months_later(moment: int, months: int) -> int:
    days, time_of_day = divmod(moment, DAY)
    first = _EPOCH + timedelta(days=days)
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    if year > MAXYEAR:
        return LATEST + 1
    day = min(first.day, monthrange(year, month + 1)[1])
    return (datetime(year, month + 1, day, tzinfo=UTC) - _EPOCH).days * DAY + time_of_day
