"""The notebooks that are shown run as they stand."""

from copy import deepcopy
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
HOMES = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat comes with the extra test")
    client = pytest.importorskip("nbclient", reason="nbclient comes with the extra test")
    for name in HOMES:
        monkeypatch.setenv(name, str(tmp_path / name))
    shown = nbformat.read(notebook, as_version=4)
    folder = tmp_path / "folder"
    folder.mkdir()
    # One text however slowly it came.
    settings = {"timeout": 600, "coalesce_streams": True, "resources": {"metadata": {"path": str(folder)}}}
    run = client.NotebookClient(deepcopy(shown), **settings).execute()
    assert not [*folder.iterdir()], "something was written"
    for cell, again in zip(shown.cells, run.cells, strict=True):
        if cell.cell_type == "code":
            kinds, own = ([sorted(output.get("data", {"text": ""})) for output in of.outputs] for of in (cell, again))
            assert kinds == own, cell.source


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_was_run_once_from_top_to_bottom(notebook: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat comes with the extra test")
    shown = nbformat.read(notebook, as_version=4)
    nbformat.validate(shown)
    cells = [cell for cell in shown.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert notebook.stat().st_size < 300_000
