from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmkeras.bundle import Bundle, write_golden, write_manifest
from mmkeras.bundle.golden import Golden
from mmkeras.core.errors import BundleError
from mmkeras.runtime.replay import answers_of
from mmkeras.runtime.runner import runners
from mmkeras.runtime.selftest import selftest

pytestmark = pytest.mark.tfio


def verdicts(bundle: Bundle) -> dict[str, str]:
    return {f"{f.format} {f.precision}": f.verdict for f in selftest(bundle).files}


def regolden(folder: Path, change: Callable[[Golden, list], tuple[Golden, list]]) -> Bundle:
    """Write other golden samples into a bundle, with hashes that fit."""
    import dataclasses

    bundle = Bundle.open(folder)
    golden, raw = change(bundle.golden(), bundle.golden_raw())
    files = write_golden(folder, golden, raw, answers_of(bundle.task, golden))
    write_manifest(folder, dataclasses.replace(bundle.manifest, golden=files))
    return Bundle.open(folder)


def test_every_accepted_file_is_replayed(bundle: Bundle):
    seen: list[str] = []
    result = selftest(bundle, progress=seen.append)
    assert result.passed
    assert seen == [file.path for file in bundle.files]
    assert verdicts(bundle) == {
        "tflite float32": "passed",
        "tflite float16": "passed",
        "onnx float32": "passed",
        "tflite int8-dynamic": "rejected",
    }
    for file in result.files[:3]:
        assert set(file.scenarios) == {"all", "without_image", "without_text", "longest_text"}
        assert file.samples == 13
        assert file.max_abs_diff is not None
        assert file.tolerance is not None
        assert file.max_abs_diff <= file.tolerance
    assert [(c.modality, c.verdict, c.samples) for c in result.preprocessing] == [
        ("image", "passed", 9),
        ("text", "passed", 9),
    ]
    json.dumps(result.to_json(), allow_nan=False)


def test_a_difference_above_the_tolerance_fails(edit: Callable[..., Bundle]):
    result = selftest(edit("tflite", "float16", tolerance=1e-6))
    (failed,) = [f for f in result.files if f.verdict == "failed"]
    assert (failed.format, failed.precision) == ("tflite", "float16")
    assert "allowed 1e-06" in failed.reason
    assert not result.passed


def test_values_that_are_not_finite_fail(folder: Path):
    def spoil(golden: Golden, raw: list) -> tuple[Golden, list]:
        golden.outputs["probabilities"][2] = np.nan
        return golden, raw

    result = selftest(regolden(folder, spoil))
    assert {f.verdict for f in result.files} == {"failed", "rejected"}
    assert "not finite" in result.files[0].reason
    assert result.files[0].max_abs_diff is None
    json.dumps(result.to_json(), allow_nan=False)


def test_preprocessing_that_differs_from_the_export_fails(folder: Path):
    def spoil(golden: Golden, raw: list) -> tuple[Golden, list]:
        golden.inputs["image"][0, 0, 0, 0] ^= 64
        return golden, raw

    result = selftest(regolden(folder, spoil))
    (failed,) = [check for check in result.preprocessing if check.verdict == "failed"]
    assert failed.modality == "image"
    assert "sample-0: image differs by 64" in failed.reason
    assert not result.passed


def test_preprocessing_without_raw_samples_is_said_to_be_unproven(folder: Path):
    def drop(golden: Golden, raw: list) -> tuple[Golden, list]:
        return golden, [{**values, "text": None} for values in raw]

    result = selftest(regolden(folder, drop))
    assert {c.modality: c.verdict for c in result.preprocessing} == {"image": "passed", "text": "skipped"}
    assert "no raw golden inputs" in result.preprocessing[1].reason
    assert result.passed


def test_an_altered_file_fails_and_the_others_are_still_tested(folder: Path):
    path = folder / "edge/tiny.float32.onnx"
    path.write_bytes(path.read_bytes()[:-10])
    result = selftest(Bundle.open(folder))
    assert [f.verdict for f in result.files] == ["passed", "passed", "failed", "rejected"]
    assert "expected sha256" in result.files[2].reason
    assert not result.passed


def test_missing_engines_are_skipped_and_nothing_run_is_no_pass(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runners()["onnx"], "module", "engine_that_is_not_there")
    assert verdicts(bundle)["onnx float32"] == "skipped"
    assert selftest(bundle).passed
    monkeypatch.setattr(runners()["tflite"], "module", "engine_that_is_not_there")
    result = selftest(bundle)
    assert {f.verdict for f in result.files} == {"skipped", "rejected"}
    assert "pip install 'mmkeras[litert]'" in result.files[0].reason
    assert not result.passed


def test_altered_golden_samples_are_an_error(folder: Path):
    (folder / "golden/raw.json").write_text("[]")
    with pytest.raises(BundleError, match=r"raw\.json is not the file that was exported"):
        selftest(Bundle.open(folder))


def test_every_scenario_has_a_verdict(bundle: Bundle, edit: Callable[..., Bundle]):
    result = selftest(bundle)
    assert result.scenarios == {
        "all": "passed",
        "without_image": "passed",
        "without_text": "passed",
        "empty_text": "not covered",
        "longest_text": "passed",
    }
    assert result.skipped == ("empty_text",)
    file = result.files[1]
    worst = file.scenarios
    assert file.tolerance is not None
    # Shares of one and the same tolerance: with that of the second worst allowed, the worst alone fails.
    failed = selftest(edit("tflite", "float16", tolerance=file.tolerance * sorted(worst.values())[-2]))
    name = max(worst, key=lambda key: worst[key])
    assert [scenario for scenario, verdict in failed.scenarios.items() if verdict == "failed"] == [name]
    assert failed.files[1].failed_scenarios == (name,)
    assert not failed.passed


@pytest.mark.parametrize(("missing", "passed"), [("without_text", False), ("all", False), ("longest_text", True)])
def test_golden_samples_must_cover_each_missing_modality(folder: Path, missing: str, passed: bool):
    import dataclasses

    def drop(golden: Golden, raw: list) -> tuple[Golden, list]:
        keep = np.array([scenario != missing for scenario in golden.scenarios])
        return (
            dataclasses.replace(
                golden,
                keys=tuple(key for key, kept in zip(golden.keys, keep, strict=True) if kept),
                scenarios=tuple(name for name in golden.scenarios if name != missing),
                inputs={name: array[keep] for name, array in golden.inputs.items()},
                outputs={name: array[keep] for name, array in golden.outputs.items()},
                targets=golden.targets[keep],
                raw=golden.raw[keep],
            ),
            raw,
        )

    result = selftest(regolden(folder, drop))
    assert result.scenarios[missing] == "not covered"
    assert result.passed is passed


def test_values_that_are_not_finite_fail_their_scenario(folder: Path):
    def spoil(golden: Golden, raw: list) -> tuple[Golden, list]:
        golden.outputs["probabilities"][golden.scenarios.index("longest_text")] = np.inf
        return golden, raw

    result = selftest(regolden(folder, spoil))
    assert result.scenarios["longest_text"] == "failed"
    assert result.scenarios["all"] == "passed"


def test_a_changed_decision_fails_though_every_difference_is_allowed(folder: Path, edit: Callable[..., Bundle]):
    def other(golden: Golden, raw: list) -> tuple[Golden, list]:
        golden.outputs["probabilities"][3] = np.roll(golden.outputs["probabilities"][3], 1)
        return golden, raw

    regolden(folder, other)
    result = selftest(edit("tflite", "float16", tolerance=2.0))
    by_name = {f"{file.format} {file.precision}": file for file in result.files}
    assert by_name["tflite float16"].reason == "the decision changed on 1 of 13 golden samples, in scenario all"
    assert by_name["tflite float16"].failed_scenarios == ("all",)
    # What differed when the file was exported is not held against the device.
    known = selftest(edit("tflite", "float16", tolerance=2.0, flipped=[3]))
    assert [f.verdict for f in known.files if f.precision == "float16"] == ["passed"]


def test_a_scenario_or_output_without_a_tolerance_fails(edit: Callable[..., Bundle]):
    result = selftest(edit("tflite", "float16", tolerances={"all": {"probabilities": [0.02]}}))
    (failed,) = [f for f in result.files if f.verdict == "failed"]
    assert "allowed 0" in failed.reason
    assert "all" not in failed.failed_scenarios


def test_each_channel_may_have_a_tolerance_of_its_own(edit: Callable[..., Bundle]):
    limits = {name: {"probabilities": [0.02, 0.02, 1e-9]} for name in ("all", "without_image", "without_text")}
    limits["longest_text"] = {"probabilities": [0.02]}
    result = selftest(edit("tflite", "float16", tolerances=limits))
    (failed,) = [f for f in result.files if f.verdict == "failed"]
    assert "allowed 1e-09" in failed.reason


def test_labels_in_another_order_give_other_words_and_fail(folder: Path):
    import dataclasses

    manifest = Bundle.open(folder).manifest
    task = {**manifest.task, "labels": manifest.task["labels"][1:] + manifest.task["labels"][:1]}
    write_manifest(folder, dataclasses.replace(manifest, task=task))
    result = selftest(Bundle.open(folder))
    assert result.answers.verdict == "failed"
    assert "the export answered" in result.answers.reason
    assert not result.passed


def test_rolled_targets_fail_and_a_bundle_without_answers_says_so(folder: Path):
    import dataclasses

    bundle = Bundle.open(folder)
    golden = dataclasses.replace(bundle.golden(), targets=(bundle.golden().targets + 1) % 3)
    files = write_golden(folder, golden, bundle.golden_raw(), answers_of(bundle.task, bundle.golden()))
    write_manifest(folder, dataclasses.replace(bundle.manifest, golden=files))
    assert "accuracy of the golden samples was" in selftest(Bundle.open(folder)).answers.reason
    files = write_golden(folder, golden, bundle.golden_raw())
    write_manifest(folder, dataclasses.replace(bundle.manifest, golden=files))
    result = selftest(Bundle.open(folder))
    assert result.answers.verdict == "skipped"
    assert "answers" in result.skipped


def test_one_level_more_everywhere_is_no_rounding(folder: Path):
    def brighter(golden: Golden, raw: list) -> tuple[Golden, list]:
        image = golden.inputs["image"]
        golden.inputs["image"] = np.where(image < 255, image + 1, image).astype(image.dtype)
        return golden, raw

    result = selftest(regolden(folder, brighter))
    assert [check.verdict for check in result.preprocessing] == ["failed", "passed"]


def test_an_engine_that_stops_is_the_fault_of_its_file_alone(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    def stop(self: object, inputs: object) -> None:
        raise RuntimeError("gather index out of bounds")

    monkeypatch.setattr(runners()["tflite"], "_run", stop)
    result = selftest(bundle)
    assert [file.verdict for file in result.files] == ["failed", "failed", "passed", "rejected"]
    assert "LiteRT failed on these inputs: gather index out of bounds" in result.files[0].reason


def test_a_missing_modality_that_counts_as_present_fails(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    cls = type(bundle.specs["text"])
    real = cls.inputs
    monkeypatch.setattr(cls, "inputs", lambda self, value: {**real(self, value), "text_present": np.float32(1)})
    checks = {check.modality: check for check in selftest(bundle).preprocessing}
    assert checks["image"].verdict == "passed"
    assert "text_present of a missing text differs by 1" in checks["text"].reason
