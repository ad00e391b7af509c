"""Calibrates a run on its validation split, and shows which answers it withholds on the test split."""

from __future__ import annotations

from typing import Any

from mmkeras.core.rounding import percent
from mmkeras.evaluation.pictures.risk import risk_figure
from mmkeras.evaluation.pictures.style import figure_to_png
from mmkeras.evaluation.predict import predict
from mmkeras.evaluation.report import write_report
from mmkeras.evaluation.samples import Samples, read
from mmkeras.evaluation.selective import selective
from mmkeras.storage.files import write_bytes
from pipelines._stages.contract import Evaluated, add_to_metrics

__all__ = ["calibrate"]


def calibrate(done: Evaluated, most_risk: float) -> None:
    """Add ``selective`` to metrics.json and its section with the risk-coverage curve to the report.

    Args:
        done: an evaluated classification; without validation samples nothing is added.
        most_risk: share of wrong answers that is accepted among those that are given.
    """
    run, size = done.run, done.config.evaluate.batch_size
    index = run.index
    if not index.samples("validation"):
        done.console.print("No validation split: nothing to calibrate on.", style="yellow")
        return
    splits = (read(index, "validation", run.specs, run.task, batch_size=size), done.samples)

    def probabilities(samples: Samples) -> tuple[Any, Any, Any]:
        outputs = predict(done.model, samples, run.specs, batch_size=size)
        return outputs[run.task.outputs[0].name], samples.targets.astype(int), samples.weights

    found = selective(probabilities(splits[0]), probabilities(splits[1]), most_risk)
    add_to_metrics(run.folder, {"selective": found})
    write_bytes(run.folder / "pictures" / "risk.png", figure_to_png(risk_figure(found)))
    write_report(run.folder)
    sure, before, after, given, wrong, everywhere = (
        "-" if found[name] is None else f"{percent(found[name])} %"
        for name in ("threshold", "ece_before", "ece", "coverage", "risk", "risk_of_all")
    )
    text = f"Temperature {found['temperature']:.2f}: calibration error {before} -> {after}. "
    if found["threshold"] is None:
        text += f"No confidence keeps the wrong answers at {percent(most_risk)} % on the validation split."
    else:
        text += f"From a confidence of {sure} on, {given} of the test samples are answered, {wrong} of them wrong"
        text += f" (of all samples: {everywhere})."
    done.console.print(text, highlight=False, soft_wrap=True)
