import tracemalloc
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import chisquare

from etm_app import SyntheticDataModule
from etm_app.cli.main import main
from etm_app.data import synthetic
from etm_app.data.corpus import ARRAYS, BowCorpus, CorpusWriter
from etm_app.data.synthetic import draw_counts
from tests.data.test_corpus import assert_equal, corpus_of
from tests.strategies import counts


def module(cache_dir: Path, **kwargs: Any) -> SyntheticDataModule:
    arguments = {"num_documents": 300, "num_words": 40, "planted_topics": 3, "document_length": 10, **kwargs}
    return SyntheticDataModule(cache_dir=cache_dir, **arguments)


def totals(corpus: BowCorpus) -> NDArray[np.int64]:
    """How often each word occurs in all documents together."""
    return np.bincount(corpus.indices, corpus.counts, corpus.vocab_size).astype(np.int64)


def cosines(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of every topic with every other."""
    lengths = (np.linalg.norm(beta, axis=1, keepdims=True) for beta in (ours, theirs))
    return (ours / next(lengths)) @ (theirs / next(lengths)).T


def test_the_seed_says_it_all(tmp_path: Path) -> None:
    first, again, other = (module(tmp_path / name, seed=name == "other") for name in ("first", "again", "other"))
    assert_equal(again.corpus, first.corpus)
    assert (again.planted_beta == first.planted_beta).all()
    assert (other.planted_beta != first.planted_beta).any()
    assert not np.array_equal(other.corpus.indices, first.corpus.indices)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_documents", 301),
        ("num_words", 41),
        ("planted_topics", 4),
        ("document_length", 11),
        ("theta_scale", 1.0),
        ("beta_scale", 1.0),
        ("zipf_exponent", 0.5),
        ("val_fraction", 0.2),
        ("test_fraction", 0.2),
    ],
)
def test_settings_are_another_corpus(tmp_path: Path, name: str, value: float) -> None:
    one, other = module(tmp_path).corpus, module(tmp_path, **{name: value}).corpus
    if name in ("val_fraction", "test_fraction"):
        assert not other.documents.equals(one.documents)
    else:
        assert not np.array_equal(totals(other), totals(one))


def test_more_documents_begin_with_the_same_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "CHUNK", 1_000)
    few, many = (module(tmp_path, num_documents=size).corpus for size in (300, 1_000))
    non_zeros = few.indptr[-1]
    assert (many.indptr[:301] == few.indptr).all()
    assert (many.indices[:non_zeros] == few.indices).all()
    assert (many.counts[:non_zeros] == few.counts).all()


def test_the_corpus_in_memory_and_that_on_disk_are_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "CHUNK", 700)  # five chunks, the last smaller
    data = module(tmp_path)
    data.build().save(tmp_path / "built")
    data.write(tmp_path / "written")
    files = {path.name: path.read_bytes() for path in (tmp_path / "built").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "written").iterdir()} == files


def test_documents_are_counts_of_their_length(tmp_path: Path) -> None:
    corpus = module(tmp_path, num_documents=5_000, document_length=4).corpus
    assert len(corpus) == len(corpus.documents) == 5_000
    assert corpus.vocab == sorted(corpus.vocab)
    assert all((np.diff(words) > 0).all() for words in np.split(corpus.indices, corpus.indptr[1:-1]))
    assert corpus.indices.min() >= 0
    assert corpus.indices.max() < 40
    assert corpus.counts.min() >= 1
    lengths = np.diff(np.concatenate(([0], np.cumsum(corpus.counts)))[corpus.indptr])
    assert lengths.mean() == pytest.approx(4, rel=0.05)
    assert lengths.var() == pytest.approx(4, rel=0.1)
    assert (lengths == 0).mean() == pytest.approx(np.exp(-4), rel=0.3)


def test_documents_are_split_by_the_shares(tmp_path: Path) -> None:
    data = module(tmp_path, val_fraction=0.2, test_fraction=0.1)
    assert [len(data.corpus.rows(split)) for split in ("train", "val", "test")] == [210, 60, 30]
    assert data.corpus.documents["id"].to_list() == [str(row) for row in range(300)]


@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.3])
def test_frequencies_fall_by_zipfs_law(tmp_path: Path, exponent: float) -> None:
    corpus = module(
        tmp_path, num_documents=20_000, num_words=2_000, planted_topics=20, document_length=50, zipf_exponent=exponent
    ).corpus
    ranks = np.arange(10, 500)
    frequencies = np.sort(totals(corpus))[::-1][ranks]
    slope, _ = np.polyfit(np.log(ranks + 1), np.log(frequencies), 1)
    assert slope == pytest.approx(-exponent, abs=0.15)


def test_topics_differ_and_share_frequent_words(tmp_path: Path) -> None:
    beta = module(tmp_path, num_words=5_000, planted_topics=50).planted_beta
    assert (beta.shape, beta.dtype) == ((50, 5_000), np.float32)
    np.testing.assert_allclose(beta.sum(axis=1), 1, rtol=1e-5)
    first, second = np.triu_indices(50, 1)
    distance = 0.5 * abs(beta[first] - beta[second]).sum(axis=1)  # in total variation
    assert distance.min() > 0.3
    assert 0.7 < distance.mean() < 0.95
    assert (beta[:, :20] > 1 / 5_000).mean() > 0.7


@pytest.mark.parametrize("theta", [[1.0, 0.0, 0.0], [0.0, 0.3, 0.7], [0.2, 0.5, 0.3]])
def test_words_are_drawn_from_theta_and_beta(tmp_path: Path, theta: list[float]) -> None:
    beta = module(tmp_path).planted_beta.astype(float)
    beta[:, 7] = 0.0
    beta /= beta.sum(axis=1, keepdims=True)
    cumulative = beta.cumsum(axis=1)
    cumulative /= cumulative[:, -1:]
    lengths = np.arange(2_000) % 60
    indptr, indices, values = draw_counts(np.tile(theta, (2_000, 1)), cumulative, lengths, np.random.default_rng(0))
    document = np.repeat(np.arange(2_000), np.diff(indptr))
    assert (np.bincount(document, values, 2_000) == lengths).all()
    expected = np.array(theta) @ beta
    for part in (document < 1_000, document >= 1_000, document % 60 < 10):
        drawn = np.bincount(indices[part], values[part], 40)
        assert drawn[7] == 0
        there = np.arange(40) != 7
        assert chisquare(drawn[there], drawn.sum() * expected[there] / expected[there].sum()).pvalue > 1e-3


def test_the_corpus_has_the_words_of_its_topics(tmp_path: Path) -> None:
    data = module(tmp_path, num_documents=20_000, num_words=200, document_length=30)
    drawn = totals(data.corpus) / totals(data.corpus).sum()
    assert 0.5 * abs(drawn - data.planted_beta.mean(axis=0)).sum() < 0.02  # the mean of theta is the same for all


@pytest.mark.parametrize("lengths", [[], [0, 0], [0, 3, 0]])
def test_documents_may_be_empty(lengths: list[int]) -> None:
    cumulative, theta = np.array([[0.5, 1.0], [0.1, 1.0]]), np.full((len(lengths), 2), 0.5)
    indptr, indices, values = draw_counts(theta, cumulative, np.array(lengths, np.int64), np.random.default_rng(0))
    assert len(indptr) == len(lengths) + 1
    assert indptr[-1] == len(indices) == len(values)
    assert values.sum() == sum(lengths)


@pytest.mark.parametrize("arguments", [{"num_words": 1}, {"planted_topics": 1}, {"num_words": 2, "planted_topics": 9}])
def test_sizes_may_be_tiny(tmp_path: Path, arguments: dict[str, int]) -> None:
    assert module(tmp_path, **arguments).vocab_size == arguments.get("num_words", 40)


@pytest.mark.parametrize("name", ["theta_scale", "beta_scale", "zipf_exponent"])
@pytest.mark.parametrize("value", [0.0, 100.0])
def test_scales_may_be_extreme(tmp_path: Path, name: str, value: float) -> None:
    assert module(tmp_path, **{name: value}).corpus.counts.sum() == pytest.approx(3_000, rel=0.1)


def test_memory_does_not_grow_with_the_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "CHUNK", 100_000)

    def peak(num_documents: int) -> int:
        data = module(tmp_path, num_documents=num_documents, num_words=1_000, document_length=100)
        tracemalloc.start()
        data.write(tmp_path / str(num_documents))
        _, largest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return largest

    peak(10_000)  # imports, of the progress bar too
    assert peak(20_000) < 1.1 * peak(5_000)


def test_training_recovers_the_planted_topics(tmp_path: Path) -> None:
    trained = main([
        "fit", "--data=SyntheticDataModule", "--data.num_documents=2000", "--data.num_words=400",
        "--data.planted_topics=5", f"--data.cache_dir={tmp_path}", "--model.num_topics=5", "--model.t_hidden_size=64",
        "--trainer.max_epochs=3", "--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={tmp_path}",
    ])  # fmt: skip
    planted = trained.datamodule.planted_beta
    similar = cosines(planted, np.asarray(trained.model.beta))
    matched = linear_sum_assignment(similar, maximize=True)
    assert similar[matched].mean() > 0.95
    assert similar[matched].min() > 0.9
    assert cosines(planted, planted)[~np.eye(5, dtype=bool)].max() < 0.6  # or any topic would do


# What writes a corpus in pieces.


@given(counts(), st.integers(1, 4), st.booleans())
def test_pieces_make_the_corpus_that_is_saved_whole(tmp_path: Path, x, size: int, with_halves: bool) -> None:  # type: ignore[no-untyped-def]
    corpus = corpus_of(x, halves=x // 2 if with_halves else None)
    corpus.save(tmp_path / "whole")
    with CorpusWriter(tmp_path / "pieces", with_halves) as writer:
        for start in range(0, len(corpus), size):
            rows = np.arange(start, min(start + size, len(corpus)))
            indptr, indices, values, where = corpus.select(rows)
            writer.append(indptr, indices, values, None if corpus.halves is None else corpus.halves[where])
        writer.finish(corpus.vocab, corpus.documents, corpus.meta)
    assert_equal(BowCorpus.load(tmp_path / "pieces"), corpus)
    for name in ARRAYS:
        if (array := getattr(corpus, name)) is not None:
            np.save(tmp_path / "expected.npy", array)
            assert (tmp_path / "pieces" / f"{name}.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
    whole, pieces = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("whole", "pieces"))
    assert pieces == whole


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_a_corpus_that_is_not_finished_leaves_nothing(tmp_path: Path, error: type[BaseException] | None) -> None:
    def write() -> None:
        with CorpusWriter(tmp_path / "corpora" / "one") as writer:
            writer.append(np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.int32))
            assert len(list((tmp_path / "corpora").iterdir())) == 1
            if error:
                raise error

    with pytest.raises(error) if error else nullcontext():
        write()
    assert not list((tmp_path / "corpora").iterdir())
