"""The notebooks run from top to bottom, and are stored without output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs nbclient, which the extra dev brings")
pytest.importorskip("ipykernel", reason="needs ipykernel, which the extra dev brings")
nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def read(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_output(path: Path) -> None:
    for cell in code_cells(read(path)):
        assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.slow
def test_first_steps_shows_contours_indices_and_the_volume_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (path,) = NOTEBOOKS
    notebook = read(path)
    work = tmp_path / "work"
    work.mkdir()
    resources = {"metadata": {"path": str(work)}}
    nbclient.NotebookClient(notebook, timeout=60, resources=resources).execute()
    data = [o.data for cell in code_cells(notebook) for o in cell.outputs if "data" in o]
    assert "LVEF (%)" in data[1]["text/html"]  # the result
    assert data[2]["text/plain"].startswith("{'LVEDV (mL)': ")
    assert data[3]["text/plain"].startswith("('ok', [")
    assert len([d for d in data if "image/png" in d]) == 2
    assert data[-1]["text/plain"] == "['labels.nii.gz', 'report.html']"
    assert {path.name for path in work.iterdir()} == {"first_steps"}
