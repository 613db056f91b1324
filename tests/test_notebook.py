"""What a notebook does with a checkpoint."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import etm_app
from etm_app.cli.main import main
from etm_app.errors import UserError
from etm_app.model import ETM
from etm_app.topic_model import BATCH
from tests.conftest import SMALL
from tests.planted import VOCAB, planted_counts

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> ETM:
    return ETM.load_from_checkpoint(checkpoint)


@pytest.fixture(scope="module")
def of_texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint of a model of texts, and the file with its texts."""
    folder = tmp_path_factory.mktemp("notebook")
    words = np.array(["matrix", "vector", "tensor", "graph", "node", "edge", "string", "text", "token"])
    rng = np.random.default_rng(0)
    reviews = [" ".join(rng.choice(words[3 * (row % 3) : 3 * (row % 3) + 3], 8)) for row in range(90)]
    (folder / "texts.csv").write_text("\n".join(["review", *reviews]))
    data = [f"--data.files={folder / 'texts.csv'}", "--data.text_column=review", f"--data.cache_dir={folder / 'cache'}"]
    cli = main(["fit", "--data=TextDataModule", *data, *SMALL, f"--trainer.default_root_dir={folder}"])
    return Path(cli.trainer.log_dir) / "checkpoints" / "best.ckpt", folder / "texts.csv"


def test_the_package_shows_its_names() -> None:
    assert {*etm_app.__all__} <= {*dir(etm_app)}
    assert "ETM" in dir(etm_app)
    assert all(hasattr(etm_app, name) for name in dir(etm_app))


FORMATS = ("bsr", "coo", "csc", "csr", "dok", "lil")


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix])
@pytest.mark.parametrize("format", FORMATS)
def test_sparse_counts_have_the_theta_of_dense_ones(model: ETM, kind: Callable[..., Any], format: str) -> None:
    x = planted_counts()
    assert (x.sum(1) == 0).any()
    matrix = kind(x).asformat(format)
    before = matrix.toarray()
    torch.testing.assert_close(model.theta(matrix), model.theta(x))
    assert (matrix.toarray() == before).all()


@given(
    hnp.arrays(np.int64, st.tuples(st.integers(0, 5), st.just(len(VOCAB))), elements=st.integers(0, 3)),
    st.sampled_from([np.int8, np.uint16, np.int64, np.uint64, np.float32, np.float64]),
)
def test_sparse_counts_of_any_type(model: ETM, x: np.ndarray, dtype: type) -> None:  # type: ignore[type-arg]
    torch.testing.assert_close(model.theta(sp.csr_array(x.astype(dtype))), model.theta(x))


def test_sparse_counts_are_taken_as_they_are_meant(model: ETM) -> None:
    """Entries add up, zeros are none, and what is stored in more bits is the same; counts from 2^31 are refused."""
    there = np.array([[5, 0, 0, 2] + [0] * (len(VOCAB) - 4)])
    entries = ([2, 2, 2, 1, 0], ([0, 0, 0, 0, 0], [0, 3, 0, 0, 1]))
    torch.testing.assert_close(model.theta(sp.coo_array(entries, shape=there.shape)), model.theta(there))
    many = there * (2**31 - 1) // 5
    torch.testing.assert_close(model.theta(sp.csr_array(many)), model.theta(sp.csr_array(many.astype(np.float64))))
    with pytest.raises(UserError, match="above 2147483647"):
        model.theta(sp.csr_array(there.astype(np.int64) * 2**31))


def test_many_sparse_documents_are_never_dense(model: ETM, monkeypatch: pytest.MonkeyPatch) -> None:
    x = sp.vstack([sp.csr_array(planted_counts())] * 30).tocsr()[: BATCH + 7]
    once = model.theta(sp.csr_array(planted_counts()))
    for name in ("toarray", "todense"):
        monkeypatch.setattr(sp.csr_array, name, None)
    theta = model.theta(x)
    assert len(theta) == BATCH + 7
    rows = torch.arange(len(theta)) % len(once)
    torch.testing.assert_close(theta, once[rows])


WRONG: dict[str, tuple[Any, str]] = {
    "too wide": (sp.csr_array((3, len(VOCAB) + 1)), rf"\[3, {len(VOCAB) + 1}\].*{len(VOCAB)}"),
    "too narrow": (sp.csr_matrix((3, 2)), r"\[3, 2\]"),
    "one document": (sp.coo_array(np.ones(len(VOCAB))), "shape"),
    "negative": (sp.csr_array(-np.eye(len(VOCAB), dtype=int)), "negative"),
    "fractional": (sp.csr_array(np.eye(len(VOCAB)) / 2), "fractional"),
    "infinite": (sp.csr_array(np.diag(np.full(len(VOCAB), np.inf))), "finite"),
    "no number": (sp.csr_array(np.diag(np.full(len(VOCAB), np.nan))), "finite"),
    "complex": (sp.csr_array(np.eye(len(VOCAB), dtype=complex)), "complex"),
}


@pytest.mark.parametrize(("counts", "names"), WRONG.values(), ids=WRONG)
def test_sparse_counts_that_are_none(model: ETM, counts: Any, names: str) -> None:
    with pytest.raises(UserError, match=names):
        model.theta(counts)


def test_one_text_is_not_a_list_of_its_letters(of_texts: tuple[Path, Path]) -> None:
    model = ETM.load_from_checkpoint(of_texts[0])
    with pytest.raises(UserError, match=r"transform\(\[text\]\)"):
        model.transform("a text")
    with pytest.raises(UserError, match="text 1 is a float"):
        model.transform(["a text", 1.5])  # type: ignore[list-item]
    assert model.transform(["matrix"]).shape == (1, 4)
    assert np.array_equal(model.transform([None]), model.transform([""]))  # type: ignore[list-item]


def test_the_readme_s_notebook_runs_as_it_stands(
    of_texts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, texts = of_texts
    (code,) = re.findall(r"## From Python\n\n```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    for written, ours in (
        ("lightning_logs/version_0/checkpoints/best.ckpt", checkpoint),
        ("reviews.csv", texts),
        ("report.html", tmp_path / "report.html"),
        ("lightning_logs/version_1", checkpoint.parents[1]),
        ("compared.html", tmp_path / "compared.html"),
    ):
        assert code.count(f'"{written}"') == 1, written
        code = code.replace(written, str(ours))
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    names: dict[str, Any] = {}
    for line in code.splitlines():
        exec(line, names)
    assert "matrix" in names["model"].vocab
    pages = [(tmp_path / name).read_text(encoding="utf-8") for name in ("report.html", "compared.html")]
    assert all("matrix" in page for page in pages)
    assert len(pages[0]) < len(pages[1])
