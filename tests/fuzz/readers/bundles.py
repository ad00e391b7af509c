"""Exported bundles: the folder, the packed file, what lies beside the manifest, engines' sidecars, keys."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from export.card.model_card import model_card
from mmkeras.bundle import Bundle, Golden, Manifest, exported_file, write_golden, write_manifest
from mmkeras.bundle.archive import Archive, write_archive
from mmkeras.bundle.archive.signature import read_signature, sign, verify
from mmkeras.bundle.golden import read_golden, read_raw
from mmkeras.core.errors import MmkerasError
from mmkeras.modalities.image.spec import Spec as ImageSpec
from mmkeras.modalities.radar.spec import Spec as RadarSpec
from mmkeras.modalities.text.spec import Spec as TextSpec
from mmkeras.runtime.benchmark_report import read_report, regressions, report
from mmkeras.runtime.differences.compare import compare
from mmkeras.runtime.differences.report import diff_tables, summary
from mmkeras.runtime.tensorrt.sidecar import BuiltFor, Shapes, read_sidecar, write_sidecar
from mmkeras.storage.files import write_json
from mmkeras.tasks.classification.spec import Spec as TaskSpec
from tests.fuzz.reader import Reader
from tests.fuzz.readers.edge_files import litert_file
from tests.fuzz.readers.runs import write_metrics

__all__ = ["READERS"]

_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", "what", "shape")
_SPECS = (ImageSpec("image", 8, 8, "stretch"), TextSpec("text", 6, _WORDS), RadarSpec("radar", 4))
_TASK = TaskSpec(labels=("no", "yes"))
_KEY = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
"""
"""The example of RFC 8410, section 10.3; it guards nothing."""
_PUBLIC = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""


def _write_folder(folder: Path) -> None:
    """Write a bundle with every file but those that an engine parses."""
    rng = np.random.default_rng(0)
    rows = [spec.inputs(value) for spec, value in zip(_SPECS, _raw(), strict=True)] * 2
    inputs = {name: np.stack([value] * 3) for row in rows for name, value in row.items()}
    golden = Golden(
        keys=("a", "b", "c"),
        scenarios=("all", "without_image", "all"),
        inputs=inputs,
        outputs={tensor.name: rng.random((3, *tensor.shape)).astype(np.float32) for tensor in _TASK.outputs},
        targets=np.array([0, 1, 1], np.int32),
        raw=np.array([0, -1, 0], np.int32),
    )
    (folder / "edge").mkdir()
    (folder / "edge/tiny.float32.tflite").write_bytes(litert_file())
    for spec in _SPECS:
        spec.save_files(folder)
    files = write_golden(folder, golden, [{"image": _png(folder), "text": "what shape?", "radar": None}])
    limits = {name: {"probabilities": [1e-4]} for name in ("all", "without_image")}
    about = {"format": "tflite", "precision": "float32", "tolerances": limits, "accepted": True}
    file = exported_file(folder, "edge/tiny.float32.tflite", **about)  # type: ignore[arg-type]
    provenance = {
        "config": {"train": {"epochs": 3}},
        "packages": {"keras": "3"},
        "metrics": {"accuracy": {"value": 0.9}},
    }
    manifest = Manifest(
        name="tiny",
        version=1,
        created="2026-01-01T00:00:00+00:00",
        modalities=tuple(spec.to_json() for spec in _SPECS),
        task=_TASK.to_json(),
        files=(file,),
        golden=files,
        provenance={**provenance, "data_fingerprint": "f", "data_samples": {"train": 9}, "code_revision": "r"},
    )
    write_manifest(folder, manifest)
    verified = {"format": "tflite", "precision": "float32", "path": file.path, "accepted": True, "samples": 9}
    verified |= {"metric": 0.9, "metric_change": -0.01, "flips": 1, "max_abs_diff": 1e-6, "bytes": 64, "reason": ""}
    scenarios = {
        name: {"max_abs_diff": 1e-6, "flips": 0, "metric": 0.9, "metric_change": 0.0} for name in ("all", "text")
    }
    export = {"schema_version": 1, "files": [{**verified, "scenarios": scenarios}], "reference": {"all": 0.9}}
    write_json(folder / "export.json", export)
    timing = {"format": "tflite", "precision": "float32", "p50_ms": 1.5, "bytes": 64, "peak_mib": 3.0, "error": ""}
    write_json(folder / "benchmark.json", {"schema_version": 1, "metric_name": "accuracy", "files": [timing]})


def _raw() -> tuple[object, object, object]:
    return np.zeros((8, 8, 3), np.uint8), "what shape?", np.zeros((0, 8), np.float32)


def _png(folder: Path) -> bytes:
    from PIL import Image

    place = folder / "golden.png"
    Image.new("RGB", (8, 8), (200, 0, 0)).save(place)
    content = place.read_bytes()
    place.unlink()
    return content


def _read_folder(folder: Path) -> object:
    with Bundle.open(folder) as bundle:
        bundle.verify()
        bundle.golden()
        for values in bundle.golden_raw():
            for name, value in values.items():
                if name in bundle.specs:
                    bundle.specs[name].inputs(value)
        return None


def _read_golden(folder: Path) -> object:
    return read_golden(folder), read_raw(folder)


def _read_reports(folder: Path) -> object:
    """Read and show what lies beside the manifest, each command on its own: who refuses does not spare the next."""
    refused: list[MmkerasError] = []
    with Bundle.open(folder) as bundle:
        for use in (_benchmark, _differences, lambda bundle: model_card(bundle.folder)):
            try:
                use(bundle)
            except MmkerasError as error:
                refused.append(error)
    if refused:
        raise refused[0]
    return None


def _benchmark(bundle: Bundle) -> object:
    now = report(bundle, bundle.files, (), {}, ())
    return regressions(now, read_report(bundle.folder / "benchmark.json"), 0.1)


def _differences(bundle: Bundle) -> object:
    value = compare(bundle, bundle)
    return diff_tables(value), summary(value)


def _write_reports(folder: Path) -> None:
    _write_folder(folder)
    write_metrics(folder)
    (folder / "config.toml").unlink()


def _write_packed(folder: Path) -> None:
    beside = folder / "bundle"
    beside.mkdir()
    _write_folder(beside)
    (folder / "key.pem").write_bytes(_KEY)
    members = {p.relative_to(beside).as_posix(): p.read_bytes() for p in sorted(beside.rglob("*")) if p.is_file()}
    contents: dict[str, Path | bytes] = {"__main__.py": b"print()\n", **members}
    write_archive(folder / "plain.mmk", contents)
    write_archive(folder / "signed.mmk", contents, sign=folder / "key.pem")


def _read_packed(path: Path) -> object:
    Archive.open(path).close()
    with Bundle.open(path) as bundle:
        return bundle.verify(), bundle.golden(), bundle.golden_raw()


def _write_sidecar(folder: Path) -> None:
    engine = folder / "tiny.float16.plan"
    engine.write_bytes(bytes(40))
    shapes = {"image": Shapes((1, 8, 8, 3), (4, 8, 8, 3), (8, 8, 8, 3))}
    sha = hashlib.sha256(bytes(40)).hexdigest()
    write_sidecar(engine, BuiltFor(sha, 40, "tensorrt", "10.3.0", "Orin", "8.7", "edge/x.onnx", sha, "float16", shapes))


def _read_sidecar(path: Path) -> object:
    built = read_sidecar(path.with_name("tiny.float16.plan"))
    return built.mismatches("tensorrt", "10.4.0", None)


_LISTING = b'{"members": {}}\n'


def _write_keys(folder: Path) -> None:
    (folder / "key.pem").write_bytes(_KEY)
    (folder / "key.pub.pem").write_bytes(_PUBLIC)
    (folder / "signature.json").write_bytes(sign(_LISTING, folder / "key.pem").render())


def _read_keys(folder: Path) -> None:
    signature = read_signature((folder / "signature.json").read_bytes(), "fuzzed")
    sign(_LISTING, folder / "key.pem")
    verify(_LISTING, signature, folder / "key.pub.pem", "fuzzed")


READERS = (
    Reader("bundle_folder", _write_folder, _read_folder, whole=True, share=3),
    Reader(
        "golden", _write_folder, _read_golden, whole=True, share=2, left=("*.json", "edge/*", "*.txt", "golden/*.png")
    ),
    Reader("bundle_reports", _write_reports, _read_reports, whole=True, share=2, left=("golden*", "edge/*", "*.txt")),
    Reader("packed_bundle", _write_packed, _read_packed, share=2, left=("bundle/*", "key.pem")),
    Reader("engine_sidecar", _write_sidecar, _read_sidecar, left=("*.plan",)),
    Reader("keys", _write_keys, _read_keys, whole=True),
)
