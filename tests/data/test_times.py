import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etm_app.data import times as module
from etm_app.data.corpus import BowCorpus
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.text.texts import TextDataModule
from etm_app.data.times import TIME, Period, as_times, check_time_format, periods_of, said_of_times
from etm_app.errors import UserError

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
MOMENTS = st.datetimes(dt.datetime(1000, 1, 3), dt.datetime(2999, 12, 29))
UNITS: tuple[Period, ...] = get_args(Period)


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts)  # type: ignore[misc, arg-type]


@given(st.lists(st.datetimes(dt.datetime(1000, 1, 3), dt.datetime(2999, 12, 29), timezones=ZONES), max_size=5))
def test_what_python_writes_is_read(moments: list[dt.datetime]) -> None:
    expected = [moment.astimezone(dt.timezone.utc).replace(tzinfo=None) for moment in moments]
    for separator in ("T", " "):
        written = pl.Series([moment.isoformat(separator) for moment in moments], dtype=pl.String)
        found, unreadable = as_times(written)
        assert found.to_list() == expected
        assert not unreadable.any()


READ: dict[str, dt.datetime | None] = {
    "1998": utc(1998, 1, 1),
    "1998.0": utc(1998, 1, 1),  # what pandas makes of whole numbers among missing ones
    " 2024-03 ": utc(2024, 3, 1),
    "2024-03-01": utc(2024, 3, 1),
    "2024-03-01T12:30": utc(2024, 3, 1, 12, 30),
    "2024-03-01 12:30:05,25 UTC": utc(2024, 3, 1, 12, 30, 5, 250_000),
    "2024-03-01T23:00:00-0530": utc(2024, 3, 2, 4, 30),
    "2024-01-01T00:30+01": utc(2023, 12, 31, 23, 30),
    "100000000": utc(1973, 3, 3, 9, 46, 40),
    "1700000000.5": utc(2023, 11, 14, 22, 13, 20),
    "1700000000123": utc(2023, 11, 14, 22, 13, 20, 123_000),
    "": None,
    " ": None,
}
UNREADABLE = ["yesterday", "24", "20240301", "12345678901", "2024-13-01", "2024-02-30", "2024-3-1", "01.03.2024",
              "2024-03-01T24:00", "2024-03-01T12:00+25:00", "0999", "nan", "٢٠٢٤"]  # fmt: skip


def test_forms_that_are_known() -> None:
    found, unreadable = as_times(pl.Series([*READ, None]))
    assert found.to_list() == [*READ.values(), None]
    assert found.dtype == TIME
    assert not unreadable.any()


@pytest.mark.parametrize("text", UNREADABLE)
def test_others_are_told(text: str) -> None:
    found, unreadable = as_times(pl.Series([text, None, "1998"]))
    assert unreadable.to_list() == [True, False, False]
    assert found.to_list() == [None, None, utc(1998, 1, 1)]


def test_a_form_that_is_named() -> None:
    found, unreadable = as_times(pl.Series(["01.03.2024 01:00 +0200", "1998", None, ""]), "%d.%m.%Y %H:%M %z")
    assert found.to_list() == [utc(2024, 2, 29, 23), None, None, None]
    assert unreadable.to_list() == [False, True, False, False]
    check_time_format("%b %d, %y")


@given(st.lists(MOMENTS | st.none(), min_size=2, max_size=30), st.sampled_from(UNITS))
def test_documents_are_in_the_period_of_their_time(moments: list[dt.datetime | None], unit: Period) -> None:
    times = pl.Series(moments, dtype=TIME)
    found = periods_of(times, unit)
    numbers = {of: times.dt.truncate(module.LENGTHS[of]).drop_nulls().n_unique() for of in UNITS}
    if found is None:
        assert numbers[unit] < 2
        return
    assert found.unit == unit
    assert len(set(found.names)) == len(found.names) == len(found.starts) == numbers[unit]
    starts = [dt.datetime.fromisoformat(start) for start in found.starts]
    assert starts == sorted(starts)
    longest = {"decade": 3653, "year": 366, "quarter": 92, "month": 31, "week": 7, "day": 1}[unit]
    for moment, code in zip(moments, found.codes.tolist(), strict=True):
        if moment is None:
            assert code == -1
            continue
        assert starts[code] <= moment < starts[code] + dt.timedelta(days=longest)
        if unit == "week":
            assert found.names[code] == "{}-W{:02}".format(*moment.isocalendar())
        else:
            assert found.names[code].startswith(f"{moment.year}"[: 3 if unit == "decade" else 4])


def every(hours: int, number: int) -> pl.Series:
    return pl.Series([utc(2010, 1, 1) + dt.timedelta(hours=hours * place) for place in range(number)], dtype=TIME)


CHOSEN: dict[str, tuple[pl.Series, Period | None]] = {
    "a month of many": (every(1, 24 * 30), "week"),
    "two months of more": (every(1, 24 * 59).append(every(1, 24 * 59)), "week"),
    "days that have enough": (every(1, 480).append(every(1, 480)).append(every(1, 480)), "day"),
    "years of some": (every(24, 3650), "quarter"),
    "as long, of many": (every(1, 24 * 3650), "quarter"),
    "a century": (every(24 * 30, 1200), "decade"),
    "few documents": (every(24 * 365, 6), "year"),
    "years alone": (every(1, 24 * 3000).dt.truncate("1y"), "year"),
    "one day": (every(1, 20), None),
    "no times": (pl.Series([None, None], dtype=TIME), None),
}


@pytest.mark.parametrize(("times", "unit"), CHOSEN.values(), ids=CHOSEN)
def test_periods_are_as_fine_as_there_are_documents_for(times: pl.Series, unit: Period | None) -> None:
    found = periods_of(times)
    assert (None if found is None else found.unit) == unit
    if found is not None:
        assert len(found.names) <= module.MAX_PERIODS


def test_no_more_periods_than_can_be_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = periods_of(every(24, 3650), "day")
    assert found is not None
    assert found.unit == "month"
    assert len(found.names) == 120


def test_what_is_said() -> None:
    assert said_of_times(every(24, 3)) == "2010-01-01 to 2010-01-03 (UTC)"
    assert said_of_times(pl.Series([None], dtype=TIME)) == "1 of 1 documents have no time"
    assert said_of_times(pl.Series([utc(1998, 1, 1), None])).endswith("; 1 of 2 documents have no time")


# On their way from files

TIMES = [utc(2024, 3, 1, 22), utc(2024, 3, 2), None, utc(1998, 1, 1)]
SETTINGS: dict[str, Any] = {"min_df": 1, "max_df": 1.0, "val_fraction": 0.25, "test_fraction": 0.0}


def texts(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"text": ["cats dogs", "dogs", "birds cats", "cats"], **columns})


def jsonl(path: Path) -> None:
    given = ["2024-03-01T23:00:00+01:00", "2024-03-02", None, 1998]
    rows = [{"text": text, "t": time} for text, time in zip(texts()["text"], given, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def excel(path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is of the extra test")
    book = openpyxl.Workbook()
    for row in [("text", "t"), *zip(texts()["text"], TIMES, strict=True)]:
        book.active.append(row)
    book.save(path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "iso.csv": lambda path: texts(t=["2024-03-01 22:00", "2024-03-02", "", "1998"]).write_csv(path),
    "zone.parquet": lambda path: texts(
        t=pl.Series(TIMES, dtype=TIME).dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    ).write_parquet(path),
    "nanoseconds.parquet": lambda path: texts(t=pl.Series(TIMES).cast(pl.Datetime("ns"))).write_parquet(path),
    "epoch.parquet": lambda path: texts(t=pl.Series(TIMES, dtype=TIME).dt.epoch("s")).write_parquet(path),
    "mixed.jsonl": jsonl,
    "book.xlsx": excel,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_times(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    data = TextDataModule(str(tmp_path / name), time_column="t", cache_dir=tmp_path / "cache", **SETTINGS)
    documents = data.corpus.documents
    assert documents["time"].to_list() == TIMES
    assert documents["time"].dtype == TIME
    assert "time" not in next(iter(data.predict_dataloader())).documents.columns
    without = TextDataModule(str(tmp_path / name), cache_dir=tmp_path / "cache", **SETTINGS)  # no corpus of before
    assert "time" not in without.corpus.documents.columns


def test_rows_whose_time_cannot_be_read_are_skipped(tmp_path: Path) -> None:
    texts(t=["2024", "soon", "", "2023"]).write_csv(tmp_path / "a.csv")
    options = {**SETTINGS, "time_column": "t", "cache_dir": tmp_path / "cache"}
    corpus = TextDataModule(str(tmp_path / "a.csv"), on_bad_rows="skip", **options).corpus
    assert corpus.documents["row"].to_list() == [0, 2, 3]
    assert corpus.documents["time"].dt.year().to_list() == [2024, None, 2023]
    assert corpus.meta["num_records"] == 4


def test_new_documents_need_no_times(tmp_path: Path) -> None:
    texts(t=["2024", "soon", "", "2023"]).write_csv(tmp_path / "a.csv")
    data = TextDataModule(str(tmp_path / "a.csv"), time_column="t", cache_dir=tmp_path / "cache", **SETTINGS)
    data.use(["cats", "dogs"], None)
    (batch,) = data.predict_dataloader()
    assert batch.documents.columns == ["row", "id", "oov_rate"]
    assert len(batch) == 4


def test_another_period_needs_no_other_counts(tmp_path: Path) -> None:
    WRITERS["iso.csv"](tmp_path / "a.csv")
    options = {**SETTINGS, "time_column": "t", "cache_dir": tmp_path / "cache"}
    made = [TextDataModule(str(tmp_path / "a.csv"), period=period, **options).corpus for period in ("year", None)]
    assert [corpus.period for corpus in made] == ["year", None]
    assert len([*(tmp_path / "cache" / "corpora").glob("*.lock")]) == 1


def test_times_of_counts_are_in_the_table_of_documents(tmp_path: Path) -> None:
    (tmp_path / "counts.csv").write_text("document,term,count\na,cats,1\nb,dogs,2\nc,cats,1\n")
    table = pl.DataFrame({"document": ["b", "a", "c"], "on": [dt.date(2024, 1, 2), None, dt.date(2023, 1, 2)]})
    table.write_parquet(tmp_path / "documents.parquet")
    options: dict[str, Any] = {"cache_dir": tmp_path / "cache", "val_fraction": 0.0, "test_fraction": 0.0}
    path, documents = tmp_path / "counts.csv", tmp_path / "documents.parquet"
    corpus = CountsDataModule(path, documents=documents, time_column="on", **options).corpus
    assert dict(corpus.documents.select("id", "time").iter_rows()) == {
        "b": utc(2024, 1, 2), "a": None, "c": utc(2023, 1, 2),
    }  # fmt: skip


def test_times_of_a_corpus_made_in_python(tmp_path: Path) -> None:
    given = [dt.date(2024, 3, 1), dt.datetime(2024, 3, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))), 1998, None]
    corpus = BowCorpus.from_matrix(np.eye(4, dtype=int), list("abcd"), ["train"] * 4, times=given)
    corpus.save(tmp_path / "corpus")
    expected = [utc(2024, 3, 1), utc(2024, 2, 29, 23), utc(1998, 1, 1), None]
    assert BowCorpus.load(tmp_path / "corpus").documents["time"].to_list() == expected
    with pytest.raises(UserError, match="times: row 0"):
        BowCorpus.from_matrix(np.eye(1, dtype=int), ["a"], ["train"], times=["soon"])
