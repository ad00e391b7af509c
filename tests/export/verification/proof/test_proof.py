"""Golden samples notice the faults of a device in every precision, or the file does not ship."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from export.source import Source
from export.verification.proof.candidates import Candidates
from export.verification.proof.choose import choose_rows, tolerances
from export.verification.proof.faults import Fault, faults_of
from export.verification.proof.probes import PROBES
from export.verification.proof.trial import FileTrial, try_file
from export.verification.report import Report
from export.verification.runners import Opened
from export.verification.scenarios import ALL, Scenario
from mmkeras.bundle import Bundle
from mmkeras.runtime import selftest as module
from mmkeras.runtime.replay import replay
from mmkeras.runtime.selftest import selftest
from mmkeras.tasks.classification.spec import Spec as Classification

ROLLED = Fault("labels rolled by one", ALL, outputs=lambda out: {k: np.roll(v, 1, -1) for k, v in out.items()})


def trial(expected: np.ndarray, noise: np.ndarray, floor: float = 0.01) -> FileTrial:
    """A file whose probabilities on the candidates of ``all`` are off by ``noise`` (R,)."""
    outputs = expected + noise[:, None] * np.array([1, -1, 0])
    rolled = ROLLED.outputs({"probabilities": outputs})["probabilities"]
    return FileTrial(
        moved={ROLLED.name: {"probabilities": np.abs(rolled - outputs)}},
        differences={ALL: {"probabilities": np.abs(outputs - expected)}},
        floors={"probabilities": np.array([floor])},
        flipped={ALL: outputs.argmax(-1) != expected.argmax(-1)},
    )


def test_an_output_of_one_number_has_one_channel() -> None:
    outputs = {"score": np.arange(3.0)}
    case: Any = SimpleNamespace(scenario=Scenario(ALL), inputs={"x": np.zeros(3)}, outputs=outputs)
    task = SimpleNamespace(flips=lambda expected, got: np.zeros(3, bool))
    reference: Any = SimpleNamespace(parts=lambda rows: [rows], task=task)
    file = Opened(lambda inputs: {"score": np.arange(3.0) + 0.5}, 3, batched=False)
    found = try_file(file, [case], Candidates({ALL: np.arange(3)}, {}), [], reference, {})
    np.testing.assert_array_equal(found.differences[ALL]["score"], [[0.5]] * 3)


def test_rows_on_which_a_file_is_far_from_keras_do_not_widen_its_tolerance() -> None:
    expected = np.eye(3)[np.arange(24) % 3] * 0.9 + 0.03
    noise = np.full(24, 0.01)
    noise[[3, 7, 11]] = 0.4
    file = trial(expected, noise)
    candidates = Candidates({ALL: np.arange(24)}, {ROLLED.name: True})
    chosen = choose_rows([file], candidates, [ROLLED], {"probabilities": np.array(0.3)})
    assert not set(chosen[ALL]) & {3, 7, 11}
    assert len(chosen[ALL]) == 8
    np.testing.assert_allclose(tolerances(file, chosen)[ALL]["probabilities"], [0.03])


def test_samples_whose_decision_a_file_changes_become_golden_only_where_there_are_no_others() -> None:
    expected = np.eye(3)[np.arange(6) % 3] * 0.04 + 0.32
    noise = np.array([0.0, 0.05, 0.0, 0.05, 0.0, 0.05])
    file = trial(expected, noise)
    assert file.flipped[ALL].any()
    candidates = Candidates({ALL: np.arange(6)}, {ROLLED.name: False})
    chosen = choose_rows([file], candidates, [ROLLED], {"probabilities": np.array(0.3)})
    assert not file.flipped[ALL][chosen[ALL]].any()


def test_every_planted_fault_fails_the_self_test_of_every_precision(
    report: Report, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The self-test itself, with the fault in what the runner is given and gives."""
    bundle = Bundle.open(report.folder)
    assert selftest(bundle).passed
    tried = [file for file in bundle.files if file.accepted and file.format != "saved_model"]
    assert {file.precision for file in tried} >= {"float32", "float16", "int8", "int8-dynamic"}
    faults = [f for f in faults_of(source.specs, source.task) if report.faults[f.name] == "caught"]
    assert {f.name for f in faults} >= {"labels rolled by one", "text dead"}
    real = module.open_runner
    for fault in faults:

        def faulty(*given: Any, fault: Fault = fault, **options: Any) -> Any:
            runner = real(*given, **options)
            infer = runner.infer
            setattr(runner, "infer", lambda inputs: fault.outputs(dict(infer(fault.inputs(inputs)))))  # noqa: B010
            return runner

        monkeypatch.setattr(module, "open_runner", faulty)
        verdicts = {file.path: file.verdict for file in selftest(bundle).files if file.samples}
        assert set(verdicts.values()) == {"failed"}, (fault.name, verdicts)


def test_a_file_whose_self_test_would_let_a_fault_pass_is_rejected(source: Source, tmp_path: Path) -> None:
    from export.attempt import Tried
    from export.formats import formats
    from export.verification.proof import proof
    from export.verification.report import FileResult
    from export.verification.verify import Reference

    few = dataclasses.replace(source, samples=source.samples[:8])
    reference = Reference(few)
    path = tmp_path / "tiny.int8.tflite"

    class Blunt:
        """Always gives the same answer, whatever it is shown: every fault of its inputs passes."""

        size, batched = 1, False

        def __enter__(self) -> Blunt:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def infer(self, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
            return {"probabilities": np.full((len(inputs["image"]), 3), 1 / 3, np.float32)}

    tried = Tried(formats()["tflite"], FileResult("tflite", "int8", accepted=True), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "opened", lambda *_: Blunt())
        judged = proof.prove(few, reference, [tried]).tried[0].result
    assert not judged.accepted
    assert "its self-test on a device would not detect: " in judged.reason
    assert "text dead" in judged.reason


def test_probes_reach_the_bundle_with_the_tensors_of_training(report: Report, source: Source) -> None:
    bundle = Bundle.open(report.folder)
    golden, raw = bundle.golden(), bundle.golden_raw()
    rows = [row for row, scenario in enumerate(golden.scenarios) if scenario == PROBES]
    assert len(rows) == len(source.specs["text"].probes())
    texts = [raw[golden.raw[row]]["text"] for row in rows]
    assert any(text != text.lower() for text in texts)
    for row in rows:
        for name, spec in source.specs.items():
            for tensor, value in spec.inputs(raw[golden.raw[row]][name]).items():
                np.testing.assert_allclose(np.float64(value), np.float64(golden.inputs[tensor][row]), atol=1)


def test_a_model_of_one_label_column_has_no_labels_to_roll() -> None:
    one = cast(Any, SimpleNamespace(outputs=(SimpleNamespace(name="value", shape=(1,)),)))
    assert faults_of({}, one) == ()
    assert [f.name for f in faults_of({}, Classification(labels=("a", "b")))] == [ROLLED.name]


def test_replay_names_what_is_furthest_beyond_its_limit() -> None:
    golden = cast(Any, SimpleNamespace(scenarios=("all", "all"), outputs={"probabilities": np.eye(2)}))
    golden = type("G", (), {"scenarios": golden.scenarios, "outputs": golden.outputs, "__len__": lambda self: 2})()
    task = Classification(labels=("a", "b"))
    off = {"probabilities": np.array([[0.9, 0.1], [0.3, 0.7]])}
    found = replay(task, golden, off, {"all": {"probabilities": [0.2]}})
    assert found.reason == "probabilities differs by 0.3 in scenario all, allowed 0.2"
    assert found.shares["all"] == pytest.approx(1.5)
