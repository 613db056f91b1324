"""Embedded Topic Models (Dieng, Ruiz, Blei: arXiv 1907.04907) on PyTorch Lightning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etm_app.data.batch import BowBatch
    from etm_app.data.corpus import BowCorpus
    from etm_app.data.counts.counts import CountsDataModule
    from etm_app.data.datamodule import BowDataModule
    from etm_app.data.synthetic import SyntheticDataModule
    from etm_app.data.text.docstrings import DocstringsDataModule
    from etm_app.data.text.newsgroups import NewsgroupsDataModule
    from etm_app.data.text.texts import TextDataModule
    from etm_app.errors import UserError
    from etm_app.estimator.topics import ETMTopics
    from etm_app.model import ETM

__version__ = "0.3.0"

# Imported when first used: `import etm_app` must not wait for torch, nor must the processes that parse docstrings.
_HOMES = {
    "BowBatch": "etm_app.data.batch",
    "BowCorpus": "etm_app.data.corpus",
    "BowDataModule": "etm_app.data.datamodule",
    "CountsDataModule": "etm_app.data.counts.counts",
    "DocstringsDataModule": "etm_app.data.text.docstrings",
    "NewsgroupsDataModule": "etm_app.data.text.newsgroups",
    "SyntheticDataModule": "etm_app.data.synthetic",
    "TextDataModule": "etm_app.data.text.texts",
    "ETM": "etm_app.model",
    "ETMTopics": "etm_app.estimator.topics",
    "UserError": "etm_app.errors",
}
__all__ = [
    "ETM",
    "BowBatch",
    "BowCorpus",
    "BowDataModule",
    "CountsDataModule",
    "DocstringsDataModule",
    "ETMTopics",
    "NewsgroupsDataModule",
    "SyntheticDataModule",
    "TextDataModule",
    "UserError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
