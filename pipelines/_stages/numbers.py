"""The numbers of docs/results.json: meaning, bar, goal and the command that measures each one.

A number must be declared here before a command can record it (`_stages.results.record`). Bars and goals are defined
only here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmkeras.core.errors import ConfigError, nearest

__all__ = ["NUMBERS", "Number", "Unit", "number"]

Unit = Literal["%", "points", "wrong", "failures", "x", "s", "min", "MB", "relative", "MCC"]
"""Units of numbers: shares are in percent, ``x`` is a ratio of two measurements, ``relative`` a relative difference,
and ``MCC`` is Matthews' correlation coefficient, from -1 to 1."""


@dataclass(frozen=True)
class Number:
    """One number with its bar and goal."""

    meaning: str
    """What was measured, in the tables of the documentation."""
    unit: Unit
    """Unit of value, interval, bar and goal."""
    better: Literal["higher", "lower"]
    """Which direction is better; a value equal to the bar reaches it."""
    bar: float | None
    """What must be reached; None for a number that is only reported, such as the size of a file."""
    goal: float | None
    """What should be reached; None as for the bar."""
    command: str
    """The command that measures and records it, unless `record` is given another."""
    counted: tuple[str, str] = ("", "")
    """Bar and goal as counts, for shares of few trials; they are shown beside the number."""
    whole: bool = False
    """Whether the whole interval must reach the bar, not the value alone."""

    def reaches(self, value: float, limit: float | None) -> bool:
        """Return whether a value is at least as good as a limit; True without a limit."""
        if limit is None:
            return True
        return value >= limit if self.better == "higher" else value <= limit


_COMPARISON = "python -m pipelines.camera_radar --compare.seeds 0 1 2 --compare.once '[\"radar_as_channels\"]' --record"
_STATEMENTS = 'python -m pipelines.video_text --alone.modalities \'["video", "text", "one_frame"]\' --record'
_MUTANTS, _FAULTS, _CLUSTER, _BENCH = (
    f"python -m tests.{name} --record" for name in ("mutants", "faults", "cluster", "bench")
)
_MEDICAL = "python -m pipelines.medical --data.source.options.folder medpix2 --record"
_SIGNS = "python -m pipelines.traffic_signs --data.source.options.folder FOLDER --record"
_FINANCE = "python -m pipelines.finance --data.source.options.folder DIR --record"


def _asked(name: str) -> str:
    config = f"pipelines/configs/{'vqa_daquar' if name == 'daquar' else name}.toml"
    return f"python -m pipelines.vqa --config {config} --data.source.options.folder FOLDER --record"


_STORIES: dict[str, tuple[str, float | None, float | None, str]] = {
    "vqa": ("easy-VQA", None, None, "python -m pipelines.vqa --record"),
    "camera_radar": ("camera + radar, simulated", 15, 15, _COMPARISON),
    "finance": ("StockNet", 15, 8, _FINANCE),
    "traffic_signs": ("GTSRB", 15, 8, _SIGNS),
    **{name: (data, 15, 8, _asked(name)) for name, data in (("daquar", "DAQUAR"), ("vqa_rad", "VQA-RAD"))},
    "medical": ("MedPix 2.0", 15, 8, _MEDICAL),
    "video_text": ("simulated clips with statements", 15, 8, _STATEMENTS),
}
"""Pipelines whose run is timed: data, bar and goal in minutes, command."""


NUMBERS: dict[str, Number] = {
    "vqa.accuracy": Number(
        "easy-VQA, official test split, 9,673 questions: accuracy", "%", "higher", 97, 99.5,
        "python -m pipelines.vqa --record",
    ),
    "daquar.accuracy": Number(
        "DAQUAR, questions about photos of rooms, test photos of their own: accuracy on all questions",
        "%", "higher", 24, 30, _asked("daquar"),
    ),
    "daquar.fusion_gain": Number(
        "DAQUAR: accuracy of photo and question, minus that of the better one trained alone",
        "points", "higher", 0, 3, _asked("daquar"),
    ),
    "vqa_rad.closed": Number(
        "VQA-RAD, closed questions on images of their own: accuracy", "%", "higher", 61, 70, _asked("vqa_rad")
    ),
    "vqa_rad.fusion_gain": Number(
        "VQA-RAD, closed questions: accuracy of image and question, minus that of the better one trained alone",
        "points", "higher", 0, 3, _asked("vqa_rad"),
    ),
    "traffic_signs.accuracy": Number(
        "GTSRB, 43 classes, tracks of their own: accuracy", "%", "higher", 97.5, 99.2, _SIGNS
    ),
    "camera_radar.fusion_gain": Number(
        "camera + radar, simulated: mAP of the fusion, minus that of the better single sensor",
        "points", "higher", 10, 20, _COMPARISON,
    ),
    "camera_radar.radar_dead": Number(
        "camera + radar, simulated: mAP of the fusion with the radar dead, minus that of the camera alone",
        "points", "higher", -2, 0, _COMPARISON,
    ),
    **{
        name: each
        for prefix, model, command in (
            ("mutants", "a model of picture and question", _MUTANTS),
            ("mutants.measurements", "a model of table row and series", f"{_MUTANTS} --subject measurements"),
        )
        for name, each in {
            f"{prefix}.int8.caught": Number(
                f"{model}: planted faults caught by the export gate or the self-test, static int8",
                "%", "higher", 95, 99, command,
            ),
            f"{prefix}.other.caught": Number(
                f"{model}: planted faults caught by the export gate or the self-test, all other precisions",
                "%", "higher", 99, 100, command,
            ),
            f"{prefix}.honest_refused": Number(
                f"{model}: honest exports of other seeds that are refused by chance",
                "%", "lower", 100 / 30, 0, command, counted=("1 of 30", "0 of 100"),
            ),
        }.items()
    },
    "finance.mcc": Number(
        "StockNet, prices and tweets, rise or fall of the next day: MCC over blocks of days, each answered by a model "
        "of its past; the whole interval must be above the bar", "MCC", "higher", 0.0, 0.08, _FINANCE, whole=True,
    "video_text.statements": Number(
        "simulated clips, is a statement true of the clip: accuracy", "%", "higher", 85, 95, _STATEMENTS
    ),
    "video_text.fusion_gain": Number(
        "simulated clips with statements: accuracy, minus that of the text alone",
        "points", "higher", 30, 45, _STATEMENTS,
    ),
    "video_text.motion_gain": Number(
        "simulated clips with statements: accuracy, minus that with the frame in the middle alone",
        "points", "higher", 10, 30, _STATEMENTS,
    ),
    "mutants.int8.caught": Number(
        "planted faults caught by the export gate or the self-test, static int8", "%", "higher", 95, 99, _MUTANTS
    ),
    "medical.location": Number(
        "MedPix 2.0, part of the body from picture, history, age and sex, cases of their own: accuracy",
        "%", "higher", 87, 93, _MEDICAL,
    ),
    "medical.fusion_gain": Number(
        "MedPix 2.0, part of the body: accuracy of all modalities, minus that of the best modality alone",
        "points", "higher", 0, 0, _MEDICAL,
    ),
    "finance.fusion_gain": Number(
        "StockNet, August and September 2015: accuracy of prices and tweets, minus that of the better one alone",
        "points", "higher", None, None, _FINANCE,
    ),
    "threads.wrong": Number(
        "one Predictor under 8 threads: wrong answers and foreign errors in 100,000 answers, summed over all runners",
        "wrong", "lower", 0, 0, "python -m tests.threads --record",
    ),
    "coverage.inside": Number(
        "95 % intervals on simulated groups: metrics and settings whose coverage is compatible with 93 to 97 %",
        "%", "higher", 100, 100, "python -m tests.coverage --record",
    ),
    "cache.frozen": Number(
        "training behind a frozen pretrained picture branch, 10 epochs: CPU time with its outputs computed once, as a "
        "share of that without",
        "%", "lower", 20, 10, "python -m tests.bench.frozen --record",
    ),
    "medpix2.fit": Number(
        "MedPix 2.0, location from picture, history, age and sex, by mmkeras fit with pretrained branches: accuracy on "
        "cases of their own",
        "%", "higher", 84, 90, "python -m tests.real.medpix2 --record",
    ),
    "fit.kinds": Number(
        "columns of 30 table layouts, written with the rules, whose kind and role mmkeras fit infers rightly",
        "%", "higher", 95, 100, "python -m tests.data.columns.layouts --record",
    ),
    "fit.minutes": Number(
        "from an empty environment and the wheel to a verified bundle: 1,000 rows with a picture, a text and numbers",
        "min", "lower", 5, 2, "python -m tests.bench.first_bundle --record",
    ),
    "race.step": Number(
        "CPU time of a training step of easy-VQA / plain PyTorch, the best of eager, channels_last and fused AdamW",
        "x", "lower", 0.95, 0.85, "python -m tests.race --only step --record",
    ),
    "race.inference": Number(
        "CPU time of one answer by the exported LiteRT float32 file / torch.compile",
        "x", "lower", 0.25, 0.15, "python -m tests.race --only inference --record",
    ),
    "race.ludwig": Number(
        "easy-VQA from a CSV file, within the CPU time of six epochs of Ludwig: accuracy",
        "%", "higher", 92.5, 99, "python -m tests.race --only ludwig --record",
    ),
    **{
        f"race.{name}": Number(
            f"{name}, {asked}: accuracy of mmkeras fit minus that of Ludwig with at least the same CPU time",
            "points", "higher", 0, 0, "python -m tests.race --only tables --record",
        )
        for name, asked in {"medpix2": "location", "covid_cxr": "COVID-19 or not, five folds by patient"}.items()
    },
    "bench.fit_step": Number(
        "training step through the pipeline / bare Keras loop on a batch in memory", "x", "lower", 1.05, 1.0, _BENCH
    ),
    "bench.predict": Number(
        "mmkeras predict in one process / preprocessing and the interpreter call alone", "x", "lower", 1.05, 1.0, _BENCH
    ),
    "bench.first_answer": Number(
        "process start to the first prediction with LiteRT / import of TensorFlow alone", "x", "lower", 0.5, 0.2, _BENCH
    ),
    "cluster.weights": Number(
        "final weights after a training on 2 workers, 4 workers and 2 devices against one process, in float64: largest "
        "difference", "relative", "lower", 1e-5, 1e-6, _CLUSTER,
    ),
    "cluster.efficiency": Number(
        "samples per second of two workers with a core each / twice those of one process with one core",
        "x", "higher", 0.85, 0.95, _CLUSTER,
    ),
    "cluster.stop": Number(
        "time from the failure of a worker, killed or silent, to the clean stop of the other: the longer one",
        "s", "lower", 60, 15, _CLUSTER,
    ),
    "faults.identical": Number(
        "kills at random moments after which the same command gave identical results, nothing half-written",
        "%", "higher", 100, 100, _FAULTS, counted=("20 of 20", "100 of 100"),
    ),
    "faults.others": Number(
        "other faults (full disks, damaged shards, a changed clock, two processes at once) that changed a result",
        "failures", "lower", 0, 0, _FAULTS,
    ),
    "faults.growth": Number(
        "memory over 2,000 training steps and over 10,000 predictions with each engine: largest growth",
        "%", "lower", 5, 1, _FAULTS,
    ),
    "fuzz.failures": Number(
        "50,000 damaged files, all readers of external files together: crashes, hangs and unexpected exceptions",
        "failures", "lower", 0, 0, "python -m tests.fuzz --record",
    ),
    **{
        f"{name}.minutes": Number(
            f"{data}: from data to verified exports, without models that are trained for comparison",
            "min", "lower", bar, goal, command,
        )
        for name, (data, bar, goal, command) in _STORIES.items()
    },
}  # fmt: skip


def number(name: str) -> Number:
    """Return a declared number.

    Raises:
        ConfigError: no such name; the message suggests the nearest.
    """
    if name not in NUMBERS:
        raise ConfigError(f"There is no number {name!r} in pipelines/_stages/numbers.py; {nearest(name, NUMBERS)}")
    return NUMBERS[name]
