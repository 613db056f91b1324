"""Checkpoints of every form there was load, those of later versions are refused by what they are, and versions move.

`released/` has small checkpoints as `fit` of versions before wrote them, and beside each what that version said of it:
its topics, and theta of some texts.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import etm_app
from etm_app.checkpoint.format import FORMAT
from etm_app.errors import UserError
from etm_app.model import ETM
from tests.checkpoint.test_content import load

RELEASED = sorted((Path(__file__).parent / "released").glob("*.ckpt"))
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore:.*whose encoder is gone")
def test_a_released_checkpoint_says_what_it_did(path: Path) -> None:
    said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    model = ETM.load_from_checkpoint(path)
    for topic, beta in zip(said["topics"], model.beta, strict=True):
        found = beta[[model.known_vocab.index(word) for word in topic["words"]]]
        np.testing.assert_allclose(found.numpy(), topic["probabilities"], rtol=1e-5)
    if load(path)["hyper_parameters"].get("inference") == model.inference:  # its encoder is not gone
        np.testing.assert_allclose(model.transform(said["texts"]), said["theta"], rtol=1e-5)
    else:
        assert model.transform(said["texts"]).argmax(1)[:3].tolist() == np.argmax(said["theta"], axis=1)[:3].tolist()


def test_every_form_has_a_released_checkpoint() -> None:
    assert {load(path).get("format", 0) for path in RELEASED} == {*range(FORMAT + 1)}
    assert all(path.stat().st_size < 50_000 for path in RELEASED)


def written_by(checkpoint: Path, path: Path, **changes: Any) -> Path:
    torch.save({**load(checkpoint), **changes}, path)
    return path


def test_a_later_form_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    content = load(checkpoint)
    assert (content["format"], content["etm_app_version"]) == (FORMAT, etm_app.__version__)
    odd = written_by(checkpoint, tmp_path / "odd.ckpt", format=FORMAT + 1, etm_app_version="\x1b[31m; rm -rf /")
    with pytest.raises(UserError, match=r"by a later etm_app, .*: install a later etm_app"):
        ETM.load_from_checkpoint(odd)


def test_a_later_version_of_the_same_form_is_read(checkpoint: Path, tmp_path: Path) -> None:
    path = written_by(checkpoint, tmp_path / "later.ckpt", etm_app_version="99.0.0")
    assert torch.equal(ETM.load_from_checkpoint(path).beta, ETM.load_from_checkpoint(checkpoint).beta)


def test_the_changelog_begins_with_this_version() -> None:
    entries = re.findall(r"^## \[(.+?)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)
    assert entries[0][0] == etm_app.__version__
    assert entries == sorted(entries, key=lambda entry: [int(part) for part in entry[0].split(".")], reverse=True)
    dates = [date for _, date in entries]
    assert dates == sorted(dates, reverse=True)
