"""When documents are from: texts to moments in UTC, and moments to periods."""

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info

from etm_app.errors import UserError

__all__ = [
    "TIME", "Period", "Periods", "as_times", "check_time_format", "check_time_type", "expected_form", "periods_of",
    "read_times", "said_of_times",
]  # fmt: skip

Period = Literal["decade", "year", "quarter", "month", "week", "day"]  # the finest last

TIME = pl.Datetime("us")  # in UTC; eight bytes a document
# What is chosen, where nobody says: the finest periods of which there are no more, and as many documents in each.
MAX_PERIODS, MIN_DOCUMENTS = 60, 50
MOST_PERIODS = 400  # also where somebody does: words are counted in each, for each topic

# Years from 1000 to 2999 alone, or with month, day, time and zone. Seconds or milliseconds since 1970, from 1973 on,
# have too many digits to be a year, a day (20240301) or each other.
ISO = (
    r"^(?P<year>[12][0-9]{3})(?:\.0+)?(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r"\s?(?:Z|UTC|(?:(?P<sign>[+-])(?P<hours>[01]\d|2[0-3])(?::?(?P<minutes>[0-5]\d))?))?)?)?)?$"
)
EPOCH = r"^([0-9]{9,10})(?:\.[0-9]+)?$"
EPOCH_MILLISECONDS = r"^([0-9]{12,13})(?:\.0+)?$"
LENGTHS: dict[Period, str] = {
    "decade": "10y", "year": "1y", "quarter": "1q", "month": "1mo", "week": "1w", "day": "1d",
}  # fmt: skip
NAMES: dict[Period, str] = {
    "decade": "%Ys", "year": "%Y", "quarter": "%Y", "month": "%Y-%m", "week": "%G-W%V", "day": "%Y-%m-%d",
}  # fmt: skip


def check_time_format(format: str) -> None:
    """Refuse a form of times that cannot be read, or leaves the year open.

    Raises:
        UserError: It is one.
    """
    moment = datetime(2024, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    try:
        year = datetime.strptime(moment.strftime(format), format).year
    except ValueError as error:
        raise UserError(
            f"data.time_format: {format!r} is no form of times ({error}); expected codes of Python's strptime, "
            "'%d.%m.%Y' say."
        ) from error
    if year != moment.year:
        raise UserError(f"data.time_format: {format!r} tells no year; expected one: %Y, or %y.")


def check_time_type(type: pl.DataType, column: str, source: object) -> None:
    """Refuse a column that cannot hold times.

    Raises:
        UserError: It is one.
    """
    if not (type.is_numeric() or isinstance(type, pl.String | pl.Categorical | pl.Enum | pl.Date | pl.Datetime)):
        raise UserError(f"data.time_column: {column} of {source} holds {type}; expected dates, times or texts.")


def expected_form(format: str | None) -> str:
    """What to say of a text that is no time."""
    if format is not None:
        return f"expected the form of data.time_format, {format}"
    return (
        "expected ISO 8601 (2024-03-01, 2024-03-01T12:30:00+01:00), 2024-03, a year, or seconds since 1970; name "
        "another form with --data.time_format, '%d.%m.%Y' say"
    )


def as_times(given: pl.Series, format: str | None = None) -> tuple[pl.Series, pl.Series]:
    """Read times: ISO 8601, years, months, seconds or milliseconds since 1970, or a form that is named.

    Args:
        given: Texts, [n]. Without a zone they are taken for UTC; a year, month or day for its beginning.
        format: Their form, as of Python's strptime.

    Returns:
        `TIME`, [n], null where there is none; and whether a text is there that cannot be read, [n].
    """
    texts = given.str.strip_chars()
    texts = texts.set(texts == "", None)
    times = (_parsed(texts) if format is None else _parsed_by(texts, format)).rename("time")
    return times, times.is_null() & texts.is_not_null()


def read_times(given: pl.Series, argument: str, format: str | None = None) -> pl.Series:
    """As `as_times`, where all are to be good ones.

    Args:
        given: Texts, [n].
        argument: What a message calls them.
        format: Their form.

    Raises:
        UserError: A text cannot be read.
    """
    times, unreadable = as_times(given, format)
    for row in unreadable.arg_true().head(1):
        raise UserError(f"{argument}: row {row} (from 0): {given[row]!r} is no time; {expected_form(format)}.")
    return times


def _parsed(texts: pl.Series) -> pl.Series:
    groups = texts.str.extract_groups(ISO).struct.unnest()
    part = {name: pl.col(name) for name in groups.columns}
    whole = pl.format(
        "{}-{}-{}T{}:{}:{}.{}",
        part["year"],
        *(part[name].fill_null("01") for name in ("month", "day")),
        *(part[name].fill_null("00") for name in ("hour", "minute", "second")),
        part["fraction"].fill_null("0").str.head(6),
    )
    local = whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    hours, minutes = (part[name].fill_null("0").cast(pl.Int64) for name in ("hours", "minutes"))
    offset = pl.duration(hours=hours, minutes=minutes)
    zoned = pl.when(part["sign"] == "-").then(local + offset).otherwise(local - offset)
    since_1970 = [
        (texts.str.extract(form).cast(pl.Int64) * microseconds).cast(TIME)
        for form, microseconds in ((EPOCH, 1_000_000), (EPOCH_MILLISECONDS, 1_000))
    ]
    return groups.select(pl.coalesce(zoned, *since_1970).alias("time"))["time"]


def _parsed_by(texts: pl.Series, format: str) -> pl.Series:
    found: dict[str, datetime | None] = {}
    for text in texts.drop_nulls().unique():  # dates repeat
        try:
            moment = datetime.strptime(text, format)
        except ValueError:
            continue
        found[text] = moment if moment.tzinfo is None else moment.astimezone(timezone.utc).replace(tzinfo=None)
    return texts.replace_strict(found, default=None, return_dtype=TIME)


@dataclass(frozen=True)
class Periods:
    """The periods that documents are from, in order; one without a document is none.

    Attributes:
        unit: How long they are.
        names: 1998, 2024-Q1, 2024-03, 2024-W09 (ISO 8601, from Monday on), 2024-03-01; a decade is 1990s.
        starts: Their first days, as 2024-03-01.
        codes: The number of each document's period, int64 [n]; -1 for a document without a time.
    """

    unit: Period
    names: list[str]
    starts: list[str]
    codes: NDArray[np.int64]


def periods_of(times: pl.Series, unit: Period | None = None) -> Periods | None:
    """Group documents by the time that they are from.

    Args:
        times: `TIME` of each, [n], null where it is not known.
        unit: How long the periods are. None chooses the finest of which there are `MAX_PERIODS` at most with
            `MIN_DOCUMENTS` documents each in the mean, or else the coarsest of which there are two; of those that make
            the same groups, the coarsest: years, where only these are told.

    Returns:
        None where fewer than two periods have documents.
    """
    units: tuple[Period, ...] = get_args(Period)
    starts = {of: times.dt.truncate(LENGTHS[of]) for of in units}
    numbers = {of: starts[of].drop_nulls().n_unique() for of in units}
    several = [of for of in units if numbers[of] > 1]
    if not several:
        return None
    most = min(MAX_PERIODS, (len(times) - times.null_count()) // MIN_DOCUMENTS)
    number = max((numbers[of] for of in several if numbers[of] <= most), default=numbers[several[0]])
    chosen = next(of for of in several if numbers[of] == number) if unit is None else unit
    while numbers[chosen] > MOST_PERIODS and chosen != units[0]:
        coarser = units[units.index(chosen) - 1]
        rank_zero_info(
            f"Time: periods of a {chosen} would be {numbers[chosen]:,}, more than {MOST_PERIODS}; they are of a "
            f"{coarser} each."
        )
        chosen = coarser
    if numbers[chosen] < 2:
        return None
    own = starts[chosen]
    found = own.drop_nulls().unique().sort()
    names = found.dt.strftime(NAMES[chosen])
    if chosen == "quarter":
        names = names + "-Q" + found.dt.quarter().cast(pl.String)
    codes = own.rank("dense").cast(pl.Int64).fill_null(0).to_numpy() - 1
    return Periods(chosen, names.to_list(), found.dt.strftime("%Y-%m-%d").to_list(), codes)


def said_of_times(times: pl.Series) -> str:
    """From when to when documents are, and how many have no time."""
    missing = times.null_count()
    without = f"; {missing:,} of {len(times):,} documents have no time" if missing else ""
    if missing == len(times):
        return without.removeprefix("; ")
    first, last = (str(of)[:10] for of in (times.min(), times.max()))
    return f"{first} to {last} (UTC){without}"
