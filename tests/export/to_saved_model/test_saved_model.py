"""The SavedModel in a fresh process, as a server loads it: without mmkeras."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from export.source import Source
from export.to_saved_model.endpoints import decode_batch
from export.verification.report import Report
from mmkeras.bundle import Bundle
from mmkeras.data.modules import records_of
from mmkeras.modalities.image.spec import Spec as ImageSpec
from tests.media.image.pictures import bad_files, converted_files, good_files

pytestmark = pytest.mark.tfio

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


def test_server_and_device_take_the_same_files_and_see_the_same_pixels(tmp_path: Path) -> None:
    spec = ImageSpec("image", 24, 32)
    module = tf.Module()
    module.serve = tf.function(
        lambda raw: decode_batch(spec, raw), [tf.TensorSpec((None,), tf.string)], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path))
    serve = tf.saved_model.load(str(tmp_path)).serve
    good = {name: data for name, data in good_files().items() if "exif" in name or "png" in name}
    served = serve(tf.constant(list(good.values())))["image"].numpy().astype(int)
    for name, pixels in zip(good, served, strict=True):
        assert np.abs(pixels - spec.preprocess(good[name])["image"]).max() <= 1, name
    for data, _ in bad_files().values():
        if data:  # an empty string is a missing picture
            with pytest.raises(tf.errors.InvalidArgumentError):
                serve(tf.constant([data]))
    for name, data in converted_files().items():
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected a grey or RGB JPEG file or a still PNG"):
            serve(tf.constant([data]))
        served = serve(tf.constant([records_of("image").encode(spec, data)]))["image"].numpy().astype(int)
        assert np.abs(served - spec.preprocess(data)["image"]).max() <= 1, name


def test_every_weight_is_stored_once(source: Source, report: Report):
    saved = tf.train.list_variables(str(report.folder / "variables" / "variables"))
    stored = sum(math.prod(shape) for name, shape in saved if name.endswith("VARIABLE_VALUE"))
    assert stored == source.model.count_params()
