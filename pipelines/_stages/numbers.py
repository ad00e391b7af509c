"""The numbers of docs/results.json: meaning, bar, goal and the command that measures each one.

A number must be declared here before a command can record it (`_stages.results.record`). Bars and goals are defined
only here, those of the pipelines in `pipelines._stages.story_numbers`.
"""

from __future__ import annotations

from mmkeras.core.errors import ConfigError, nearest
from pipelines._stages.number import Number
from pipelines._stages.story_numbers import STORY_NUMBERS

__all__ = ["NUMBERS", "number"]

_MUTANTS, _FAULTS, _CLUSTER, _BENCH = (
    f"python -m tests.{name} --record" for name in ("mutants", "faults", "cluster", "bench")
)

NUMBERS: dict[str, Number] = {
    **STORY_NUMBERS,
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
}  # fmt: skip


def number(name: str) -> Number:
    """Return a declared number.

    Raises:
        ConfigError: no such name; the message suggests the nearest.
    """
    if name not in NUMBERS:
        raise ConfigError(f"There is no number {name!r} in pipelines/_stages/numbers.py; {nearest(name, NUMBERS)}")
    return NUMBERS[name]
