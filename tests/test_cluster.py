"""What README says of a cluster, as it stands there: SQL counts as TextDataModule does, Spark finds topics."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from etm_app.data.corpus import BowCorpus
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.text.texts import TextDataModule
from etm_app.model import ETM
from tests.data.test_corpus import dense_corpus

ROOT = Path(__file__).parents[1]
SECTION = re.search(r"^### Counts from a cluster$(.*?)^###? ", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
DUCKDB_SQL, SPARK_SQL = re.findall(r"```sql\n(.*?)```", SECTION[1], re.S) if SECTION else ("", "")
(SPARK_PYTHON,) = re.findall(r"```python\n(.*?)```", SECTION[1], re.S) if SECTION else ("",)
RULE: dict[str, Any] = {"min_df": 10, "max_df": 0.5, "token_pattern": "[a-z]{3,}"}
WORDS = [f"{first}{last}" for first in ("sea", "wind", "hill", "stone") for last in ("side", "ward", "man", "less")]
NUM_DOCUMENTS = 61  # half of them is no whole number


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """A folder as README names its files: words in 9, 10, 30 and 31 documents, others' letters, nothing at all."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(3)
    texts = [" ".join(generator.choice(WORDS, 7).tolist()) for _ in range(NUM_DOCUMENTS - 2)]
    for word, documents in {"nine": 9, "ten": 10, "thirty": 30, "thirtyone": 31}.items():
        for row in generator.permutation(len(texts))[:documents]:
            texts[row] += f". {word.upper()}-{word} The été of {word}3it's"
    texts[5:5] = ["", "1 ab, 日本語 été"]
    table = pl.DataFrame({"id": [f"d{row:02}" for row in range(NUM_DOCUMENTS)], "text": texts})
    Path("texts").mkdir()
    for part in range(3):
        table[part::3].write_parquet(f"texts/part-{part}.parquet")
    shutil.copy(ROOT / "etm_app" / "data" / "text" / "stopwords.txt", "stopwords.txt")
    return table


def assert_is_that_of_texts(table: pl.DataFrame) -> None:
    table.write_parquet("all.parquet")
    table.select(document="id").write_parquet("documents.parquet")
    rows = {"val_fraction": 0.0, "test_fraction": 0.0}
    expected = TextDataModule("all.parquet", id_column="id", **rows, **RULE).build()
    found = CountsDataModule(Path("counts"), documents=Path("documents.parquet"), **rows).build()
    assert found.vocab == expected.vocab
    assert {"ten", "thirty", *WORDS} == {*found.vocab}
    assert found.documents["id"].equals(expected.documents["id"])
    np.testing.assert_array_equal(dense(found), dense(expected))
    assert dense(found).sum() > 400
    assert (dense(found).sum(axis=1) == 0).sum() == 2
    alone = CountsDataModule(Path("counts"), **rows).build()  # documents with words
    has_words = dense(expected).any(axis=1)
    assert alone.vocab == expected.vocab
    assert alone.documents["id"].to_list() == expected.documents["id"].filter(has_words).to_list()
    np.testing.assert_array_equal(dense(alone), dense(expected)[has_words])


def dense(corpus: BowCorpus) -> np.ndarray[Any, Any]:
    return dense_corpus(corpus, corpus.counts)


def test_duckdb_makes_the_corpus_that_texts_do(texts: pl.DataFrame) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        connection.execute(DUCKDB_SQL)
    assert_is_that_of_texts(texts)


@pytest.fixture
def spark(tmp_path: Path, texts: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="PySpark is not there; it is half a gigabyte, and no dependency")
    pytest.importorskip("pyarrow", reason="PySpark hands tables to pandas by PyArrow")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    (tmp_path / "home_of_workers").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home_of_workers"))  # what they import may keep files there
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    settings = {
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "3",
    }
    session = sql.SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    yield session
    session.stop()


def test_spark_makes_the_corpus_and_finds_topics_of_new_documents(
    texts: pl.DataFrame, spark: Any, run_on_texts: Callable[[], ETM]
) -> None:
    for statement in SPARK_SQL.strip().removesuffix(";").split(";\n"):
        spark.sql(statement)
    assert Path("counts/_SUCCESS").exists()
    assert_is_that_of_texts(texts)
    model = run_on_texts()
    exec(compile(SPARK_PYTHON, "README.md", "exec"), {})
    found = pl.read_parquet("theta/*.parquet").sort("id")
    assert found["id"].equals(texts["id"])
    theta = model.transform(texts["text"])
    np.testing.assert_allclose(np.stack(found["theta"].to_list()), theta, atol=1e-6)
    assert found["topic"].to_list() == theta.argmax(axis=1).tolist()


@pytest.fixture
def run_on_texts(texts: pl.DataFrame) -> Callable[[], ETM]:
    """A model where README looks for one."""

    def save() -> ETM:
        data = TextDataModule("texts/*.parquet", id_column="id", val_fraction=0.0, test_fraction=0.0, **RULE)
        model = ETM(data.vocab_size, num_topics=3, rho_size=4, inference="mixture")
        model.vocab, model.analyzer = data.vocab, data.analyzer_settings
        path = Path("lightning_logs/version_0/checkpoints/best.ckpt")
        path.parent.mkdir(parents=True)
        model.save(path)
        return model

    return save
