"""The notebooks run from their first cell to their last, in an empty folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from docs.generator.notebooks import NOTEBOOKS, notebook
from tests.conftest import REPOSITORY

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed; make setup installs it")
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
EXPECTED = {
    "export_and_device": ("selftest passed: 4 passed", "samples-1.mmk", "'label'", "written: benchmark.json"),
    "own_table": ("'accuracy'", "tflite int8", "'label'", "report.html"),
}
"""Texts of the outputs."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch):
    """Return a function that runs a notebook and returns the text of its outputs."""
    import nbformat

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # The kernel of this environment, whatever kernels the machine has.
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "test", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))

    def execute(cells: str | list[str]) -> str:
        if isinstance(cells, str):
            content = nbformat.read(NOTEBOOKS / f"{cells}.ipynb", 4)
        else:
            content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
        place = {"metadata": {"path": str(tmp_path)}}
        nbclient.NotebookClient(content, timeout=600, kernel_name="python3", resources=place).execute()
        outputs = [each for cell in content.cells for each in cell.get("outputs", ())]
        return "\n".join(str(each.get("text") or each.get("data")) for each in outputs)

    return execute


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_to_its_end(run, name: str):
    printed = run(name)
    assert not [text for text in EXPECTED[name] if text not in printed], printed[-3000:]
    assert 'install "ipywidgets"' not in printed, "a live display of rich"
    assert "\x1b[2K" not in printed, "a progress bar redraws itself in a notebook"


@pytest.mark.filterwarnings("default")
def test_a_cell_that_fails_fails_the_notebook(run):
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
        run(["1 / 0"])


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_no_outputs_and_is_a_page(name: str):
    content = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))
    assert not [cell for cell in content["cells"] if cell.get("outputs") or cell.get("execution_count")]
    page = f"notebook-{name.replace('_', '-')}.md"
    assert f'notebook("{name}")' in (REPOSITORY / "docs" / "pages" / page).read_text("utf-8")
    text = notebook(name)
    assert text.startswith("# ")
    assert text.count("```python") == sum(cell["cell_type"] == "code" for cell in content["cells"])
