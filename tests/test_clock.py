"""The clock, moments and durations."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.base import clock
from promo_sandbox.base.clock import Clock, later, parse, text
from promo_sandbox.openapi.validation import Validator

MILLISECONDS = st.integers(clock.EARLIEST // clock.MILLISECOND, clock.LATEST // clock.MILLISECOND)


@settings(deadline=None)
@given(MILLISECONDS)
def test_a_moment_in_whole_milliseconds_is_read_back_as_it_was_written(milliseconds: int) -> None:
    moment = milliseconds * clock.MILLISECOND

    assert parse(text(moment)) == moment


@settings(deadline=None)
@given(MILLISECONDS, MILLISECONDS)
def test_texts_are_ordered_as_their_moments(one: int, other: int) -> None:
    first, second = text(one * clock.MILLISECOND), text(other * clock.MILLISECOND)

    assert (first < second) == (one < other)


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_agree_with_datetime(at: datetime) -> None:
    at = at.replace(microsecond=0)

    assert (
        parse(at.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20))
        == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * clock.SECOND
    )


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01T01:30:00+01:30", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:00.1Z", 100 * clock.MILLISECOND),
        ("1970-01-01T00:00:00.0000000019999Z", 1),
        ("1969-12-31T23:59:59.5Z", -500 * clock.MILLISECOND),
        ("0000-01-01T00:00:00Z", clock.EARLIEST),
        ("0000-12-31T23:59:59Z", parse("0001-01-01T00:00:00Z") - clock.SECOND),
        ("9999-12-31T23:59:59.999Z", clock.LATEST),
    ],
)
def test_every_form_of_rfc_3339_is_read(written: str, moment: int) -> None:
    assert parse(written) == moment


def test_a_leap_second_is_the_one_after_it() -> None:
    assert text(parse("2016-12-31T23:59:60Z")) == "2017-01-01T00:00:00.000Z"
    assert text(parse("2016-12-31T15:59:60.25-08:00")) == "2017-01-01T00:00:00.250Z"
    assert text(parse("2012-07-01T05:29:60+05:30")) == "2012-07-01T00:00:00.000Z"
    assert text(parse("1972-06-30T23:59:60Z")) == "1972-07-01T00:00:00.000Z"


@pytest.mark.parametrize(
    "written",
    [
        "2030-01-01T00:00:60Z",
        "2016-12-31T23:58:60Z",
        "2016-12-31T23:59:60+01:00",
        "2016-12-31T15:59:60-07:00",
        "2017-12-31T23:59:60Z",
        "1971-12-31T23:59:60Z",
        "0000-12-31T23:59:60Z",
        "9999-12-31T23:59:60Z",
    ],
)
def test_a_leap_second_that_did_not_exist_is_an_error(written: str) -> None:
    with pytest.raises(ValueError, match="a leap second that never was"):
        parse(written)


def test_the_year_0_has_a_29th_of_february() -> None:
    assert text(parse("0000-02-29T12:00:00Z")) == "0000-02-29T12:00:00.000Z"
    assert parse("0000-03-01T00:00:00Z") - parse("0000-02-28T00:00:00Z") == 2 * clock.DAY


@pytest.mark.parametrize(
    "written",
    [
        "",
        "tomorrow",
        "2030-01-01",
        "2030-01-01T00:00:00",
        "2030-01-01 00:00:00Z",
        "2030-01-01x00:00:00Z",
        "2030-01-01T000000.0Z",
        "2030-W01-1T00:00:00Z",
        "2030-1-01T00:00:000Z",
        "2030-02-29T00:00:00Z",
        "2030-13-01T00:00:00Z",
        "2030-00-01T00:00:00Z",
        "2030-01-01T24:00:00Z",
        "2030-01-01T24:00:00.0Z",
        "2030-01-01T00:60:00Z",
        "2030-01-01T00:00:61Z",
        "2030-01-01T00:00:00.Z",
        "2030-01-01T00:00:00+24:00",
        "2030-01-01T00:00:00+00:60",
        "2030-01-01T00:00:00+0100",
        "2030-01-01T00:00:00Z\n",
        "\uff12030-01-01T00:00:00Z",
        "12030-01-01T00:00:00Z",
    ],
)
def test_an_invalid_date_time_is_an_error(written: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|time of day|day is out of range|month must be"):
        parse(written)


def test_a_moment_that_rfc_3339_cannot_write_is_written_as_the_nearest_it_can() -> None:
    assert text(parse("9999-12-31T23:59:59-01:00")) == "9999-12-31T23:59:59.999Z"
    assert text(parse("0000-01-01T00:00:00+01:00")) == "0000-01-01T00:00:00.000Z"


_NEARLY = st.from_regex(
    r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
    r"(\.[0-9]{1,12})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])\Z"
)


@settings(deadline=None)
@given(_NEARLY)
def test_whatever_the_schemas_admit_as_a_date_time_can_be_read(written: str) -> None:
    if not Validator({"type": "string", "format": "date-time"}).violations(written, "at"):
        assert parse(text(parse(written))) // clock.SECOND in range(
            clock.EARLIEST // clock.SECOND, clock.LATEST // clock.SECOND + 1
        )


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2030-01-01T00:00:00Z", "P30D", "2030-01-31T00:00:00.000Z"),
        ("2030-01-01T00:00:00Z", "PT1H30M", "2030-01-01T01:30:00.000Z"),
        ("2030-01-01T00:00:00Z", "PT0.5S", "2030-01-01T00:00:00.500Z"),
        ("2030-01-01T00:00:00Z", "PT0.000000001S", "2030-01-01T00:00:00.000Z"),
        ("2030-01-01T00:00:00Z", "P2W", "2030-01-15T00:00:00.000Z"),
        ("2030-01-31T12:34:56.789Z", "P1M", "2030-02-28T12:34:56.789Z"),
        ("2028-01-31T00:00:00Z", "P1M", "2028-02-29T00:00:00.000Z"),
        ("2030-12-31T00:00:00Z", "P2M", "2031-02-28T00:00:00.000Z"),
        ("2028-02-29T00:00:00Z", "P1Y", "2029-02-28T00:00:00.000Z"),
        ("2030-01-31T00:00:00Z", "P1M1D", "2030-03-01T00:00:00.000Z"),
        ("2030-01-01T00:00:00Z", "P1Y2M3W4DT5H6M7.008S", "2031-03-26T05:06:07.008Z"),
        ("1969-12-31T23:59:59Z", "P1M", "1970-01-31T23:59:59.000Z"),
        ("2030-01-01T00:00:00Z", "P0D", "2030-01-01T00:00:00.000Z"),
        ("9999-12-31T00:00:00Z", "PT23H59M59.999S", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_duration_later_follows_the_calendar(start: str, duration: str, end: str) -> None:
    assert text(later(parse(start), duration)) == end


@pytest.mark.parametrize(
    "duration",
    ["", "P", "PT", "P1DT", "30D", "P-1D", "-P1D", "P1.5D", "P1S", "PT1D", "P1D1M", "P1D\n", "PT0.1234567891S"],
)
def test_an_invalid_duration_is_an_error(duration: str) -> None:
    with pytest.raises(ValueError, match="is not an ISO 8601 duration"):
        later(0, duration)


@pytest.mark.parametrize("duration", ["P8000Y", "P99999M", "P3000000D", "PT999999999999H", "P999999Y999999M"])
def test_nothing_is_later_than_the_year_9999(duration: str) -> None:
    with pytest.raises(ValueError, match="after the year 9999"):
        later(parse("2030-01-01T00:00:00Z"), duration)


@settings(deadline=None)
@given(MILLISECONDS.filter(lambda moment: moment > 0), st.integers(0, 2000))
def test_months_later_is_the_same_day_or_the_last_of_a_shorter_month(milliseconds: int, months: int) -> None:
    moment = milliseconds * clock.MILLISECOND
    try:
        end = later(moment, f"P{months}M")
    except ValueError:
        return

    before, after = text(moment), text(end)
    assert before[11:] == after[11:]
    assert int(after[:4]) * 12 + int(after[5:7]) == int(before[:4]) * 12 + int(before[5:7]) + months
    assert after[8:10] == before[8:10] or text(end + clock.DAY)[8:10] == "01"


def test_a_clock_shows_real_time_in_whole_milliseconds() -> None:
    before = time.time_ns() - clock.MILLISECOND

    now = Clock().now()

    assert before <= now <= time.time_ns()
    assert now % clock.MILLISECOND == 0


def test_a_clock_that_is_set_goes_on_from_there() -> None:
    ours, moment = Clock(), parse("2030-01-01T00:00:00Z")

    ours.set(moment)

    assert moment <= ours.now() < moment + 60 * clock.SECOND
    assert not ours.frozen


def test_a_frozen_clock_stands_still_and_can_be_set() -> None:
    ours, moment = Clock(), parse("2030-01-01T00:00:00.123456789Z")

    ours.freeze()
    frozen_at = ours.now()
    time_passed = {ours.now() for _ in range(100)}
    ours.set(moment)

    assert time_passed == {frozen_at}
    assert ours.frozen
    assert text(ours.now()) == "2030-01-01T00:00:00.123Z"
    assert ours.now() % clock.MILLISECOND == 0


def test_a_frozen_clock_that_is_let_go_runs_from_where_it_stood() -> None:
    ours, moment = Clock(), parse("2030-01-01T00:00:00Z")
    ours.freeze()
    ours.set(moment)

    ours.run()

    assert not ours.frozen
    assert moment <= ours.now() < moment + 60 * clock.SECOND


def test_letting_a_running_clock_go_changes_nothing() -> None:
    ours, moment = Clock(), parse("2030-01-01T00:00:00Z")
    ours.set(moment)

    ours.run()

    assert moment <= ours.now() < moment + 60 * clock.SECOND


def test_a_clock_can_be_set_back_before_1970() -> None:
    ours = Clock()
    ours.freeze()

    ours.set(parse("0001-01-01T00:00:00Z"))

    assert text(ours.now()) == "0001-01-01T00:00:00.000Z"


def test_a_copy_shows_the_same_and_goes_its_own_way() -> None:
    clock = Clock()
    clock.set(parse("2030-01-01T00:00:00Z"))
    clock.freeze()

    copy = clock.copy()
    clock.set(parse("2040-01-01T00:00:00Z"))

    assert text(copy.now()) == "2030-01-01T00:00:00.000Z"
    assert copy.frozen
    assert text(clock.now()) == "2040-01-01T00:00:00.000Z"


def test_a_new_clock_shows_real_time() -> None:
    untouched, moved, frozen = Clock(), Clock(), Clock()
    moved.set(0)
    frozen.freeze()

    assert (untouched.real, moved.real, frozen.real) == (True, False, False)
    assert untouched.copy().real


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), st.integers(0, 999))  # noqa: DTZ001 - written with a Z
def test_the_fast_parser_agrees_with_the_general_one(at: datetime, thousandths: int) -> None:
    written = f"{at.isoformat(timespec='seconds')}.{thousandths:03}"

    assert parse(f"{written}Z") == parse(f"{written}z") == parse(f"{written}000Z")
    assert text(parse(f"{written}Z")) == f"{written}Z"
