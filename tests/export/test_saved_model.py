"""The SavedModel in a fresh process, as a server loads it: without mmkeras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.results import Report
from export.source import Source
from mmkeras.bundle import Bundle

LOAD = """
import sys
import numpy as np
import tensorflow as tf
{imports}
loaded = tf.saved_model.load(sys.argv[1])
given = np.load(sys.argv[2])
tensors = {{name[7:]: tf.constant(given[name]) for name in given.files if name.startswith("tensor_")}}
raw = {{
    name[4:]: tf.constant([bytes(row[: length]) for row, length in zip(given[name], given["length_" + name[4:]])])
    for name in given.files
    if name.startswith("raw_")
}}
assert "mmkeras" not in sys.modules, "a server does not have it"
served = loaded.signatures["serving_default"](**raw)
plain = loaded.signatures["tensors"](**tensors)
label = served["label"].numpy().astype("U")
np.savez(sys.argv[3], raw=served["probabilities"], label=label, plain=plain["probabilities"])
"""


def load(folder: Path, given: Path, out: Path, imports: str) -> subprocess.CompletedProcess[str]:
    script = LOAD.format(imports=imports)
    arguments = [sys.executable, "-c", script, str(folder), str(given), str(out)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, cwd=out.parent, check=False)


@pytest.fixture(scope="module")
def given(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Golden inputs as tensors and as raw bytes, empty where a modality is missing."""
    bundle = Bundle.open(report.folder)
    golden, raw = bundle.golden(), bundle.golden_raw()
    rows = [row for row in range(len(golden)) if golden.raw[row] >= 0]
    arrays: dict[str, Any] = {f"tensor_{name}": array[rows] for name, array in golden.inputs.items()}
    for name in bundle.specs:
        values = []
        for row in rows:
            value = raw[golden.raw[row]][name]
            values.append(b"" if value is None else value.encode() if isinstance(value, str) else value.read_bytes())
        assert b"" in values or name == "text"
        length = np.array([len(value) for value in values])
        padded = np.stack([np.frombuffer(v.ljust(length.max(), b"\0"), np.uint8) for v in values])
        arrays |= {f"raw_{name}": padded, f"length_{name}": length}
    path = tmp_path_factory.mktemp("given") / "given.npz"
    np.savez(path, **arrays)
    return path


def test_both_endpoints_answer_as_keras_does_in_a_fresh_process(
    report: Report, source: Source, given: Path, tmp_path: Path
) -> None:
    process = load(report.folder, given, tmp_path / "out.npz", "import tensorflow_text")
    assert process.returncode == 0, process.stderr[-2000:]
    golden = Bundle.open(report.folder).golden()
    expected = golden.outputs["probabilities"][golden.raw >= 0]
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_allclose(out["plain"], expected, atol=1e-5)
        np.testing.assert_allclose(out["raw"], expected, atol=1e-5)
        decided = [answer["label"] for answer in source.task.decode({"probabilities": expected})]
        assert list(out["label"]) == decided


def test_trap_without_tensorflow_text_it_does_not_load(report: Report, given: Path, tmp_path: Path) -> None:
    process = load(report.folder, given, tmp_path / "out.npz", "")
    assert process.returncode != 0
    assert "FastWordpiece" in process.stderr
