"""Run folders: what a resumed training, an export and a report read of an earlier run."""

from __future__ import annotations

from pathlib import Path

from export.source import read_metrics
from mmkeras.evaluation.report import write_report
from mmkeras.modalities.image.spec import Spec as ImageSpec
from mmkeras.modalities.text.spec import Spec as TextSpec
from mmkeras.storage.files import write_json, write_text
from mmkeras.tasks.classification.spec import Spec as TaskSpec
from mmkeras.training.run import Run
from tests.fuzz.reader import Reader

__all__ = ["READERS", "write_metrics"]

_SPECS = (ImageSpec("image", 8, 8, "stretch"), TextSpec("text", 6, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "what")))


def _write(folder: Path) -> None:
    for spec in _SPECS:
        spec.save_files(folder)
    write_json(folder / "specs.json", [spec.to_json() for spec in _SPECS])
    write_json(folder / "task.json", TaskSpec(labels=("no", "yes")).to_json())
    about = {"schema_version": 1, "name": "tiny", "packages": {"keras": "3"}, "machine": {"cores": 2}}
    write_json(folder / "run.json", {**about, "data_folder": "data", "data_fingerprint": "f", "code_revision": "r"})


def _read(folder: Path) -> object:
    run = Run.open(folder)
    return [spec.tensors for spec in run.specs.values()], run.task.outputs


def write_metrics(folder: Path) -> None:
    """Write the metrics of an evaluation and the configuration of its run."""
    interval = {"value": 0.9, "low": 0.8, "high": 0.95, "method": "bootstrap"}
    scores = {"accuracy": interval, "macro_f1": {**interval, "method": "exact"}}
    change = {"metrics": scores, "difference": scores}
    parts = {"image": change, "text": change}
    metrics = {
        "schema_version": 1,
        "task": {"kind": "classification", "metric": "accuracy", "metric_sign": 1},
        "samples": 9,
        "intervals": {"confidence": 0.95, "resamples": 50, "seed": 0, "slow_resamples": 10, "slow_metrics": []},
        "test": scores,
        "ablation": {
            "removed": parts,
            "shuffled": parts,
            "alone": parts,
            "baseline": change,
            "verdict": {"text": "Fusion helps.", "gain": interval},
        },
        "slices": {"kind": {"a": {**scores, "samples": 9, "few": False, "worse": True}}},
        "per_class": {"no": {"precision": interval, "recall": interval, "f1": interval, "samples": 4, "few": False}},
        "calibration": {
            "kind": "confidence",
            "ece": 0.1,
            "mce": 0.2,
            "bins": [],
            "mean_confidence": 0.9,
            "mean_accuracy": 0.9,
        },
        "confusion": {"labels": ["no", "yes"], "matrix": [[1, 0], [0, 1]], "top": []},
        "errors": [{"key": "1", "truth": "no", "prediction": "yes", "wrongness": 0.7}],
        "warnings": ["few"],
        "remarks": [],
        "provenance": {"name": "tiny", "packages": {"keras": "3"}, "created": "2026-01-01"},
    }
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "config.toml", 'name = "tiny"\n')


def _read_metrics(folder: Path) -> object:
    read_metrics(folder)
    return write_report(folder)


READERS = (
    Reader("run_folder", _write, _read, whole=True, share=2),
    Reader("run_metrics", write_metrics, _read_metrics, whole=True, share=0.5),
)
