"""The configuration of a run: frozen dataclasses whose field docstrings are the command line's help texts.

A pipeline subclasses `RunConfig` and `ModelConfig`: the modalities of a model are those fields of its `ModelConfig`
whose type is the ``Config`` of a modality, and the field's name is the modality's name. A configuration may name
further ones, ``[model.left]`` with ``kind = "image"`` (`mmkeras.core.declared`), which share the weights of a branch
where they say so (`mmkeras.core.sharing`).

A class names those of its fields that are paths: ``reads`` must be there, ``writes`` are made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from mmkeras.core.components import Choice
from mmkeras.core.errors import ConfigError, nearest

__all__ = [
    "ClusterConfig",
    "DataConfig",
    "EvaluateConfig",
    "ExportConfig",
    "ModelConfig",
    "PrivacyConfig",
    "RunConfig",
    "StageConfig",
    "TrainConfig",
    "declared_modalities",
    "modality_configs",
]


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from and how they are converted and split."""

    writes: ClassVar[tuple[str, ...]] = ("folder",)
    source: Choice = field(default_factory=lambda: Choice("easy_vqa"))
    """Source by module name in mmkeras/data/sources, with its options."""
    folder: str = ".cache/data"
    """Converted shards go below this folder, one sub-folder per fingerprint."""
    train_share: float = 0.8
    """Share of the samples without a split of their own that goes to training."""
    validation_share: float = 0.1
    """Share that goes to validation; the rest is the test split. With a test split of its own, taken from training."""
    split_by_group: bool = False
    """Require a group in every row; samples of one group always stay on one side."""
    keep_together: Literal["content", "path", "none"] = "content"
    """What keeps rows without a group on one side: a file of equal content, one of the same path, or nothing."""
    split_seed: int = 0
    """Seed of the split."""
    samples_per_shard: int = 4096
    """Samples in one TFRecord file."""
    workers: int = 2
    """Processes that convert."""
    max_bad_share: float = 0.01
    """Conversion stops when more than this share of the rows is quarantined."""
    max_bad_records: int = 10
    """Converted records that may turn out damaged on disk: they are left out and reported. Beyond it the run stops."""
    limit: int | None = None
    """Use only the first so many samples of each split; for trials."""
    cache: Literal["memory", "disk", "none"] = "memory"
    """Keep decoded samples in memory, on disk beside the shards, or decode in every epoch."""
    shuffle_buffer: int = 8192
    """Samples in the shuffle buffer when the cache is not in memory."""


@dataclass(frozen=True)
class ModelConfig:
    """The model without its modalities, which a pipeline or a configuration adds as fields."""

    width: int = 128
    """Width of the tokens that branches, fusion and head share."""
    fusion: Choice = field(default_factory=lambda: Choice("cross_attention"))
    """Fusion by module name in mmkeras/fusion, with its options."""
    task: Choice = field(default_factory=lambda: Choice("classification"))
    """Task by module name in mmkeras/tasks, with its options."""
    without: tuple[str, ...] = ()
    """Modalities that the model is built without, to see what they are worth."""


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained."""

    epochs: int = 10
    """Passes over the training split (or blocks of steps_per_epoch)."""
    batch_size: int = 64
    """Samples in a training step."""
    steps_per_epoch: int | None = None
    """Steps between two validations and checkpoints; one pass over the data when not given."""
    checkpoint_steps: int | None = None
    """Save the state every so many steps too, for long epochs; it is always saved after an epoch and on Ctrl-C."""
    checkpoint_minutes: float | None = None
    """Save the state every so many minutes too."""
    accumulate: int = 1
    """Steps whose gradients are averaged into one update of the weights; memory for a batch, effect of several."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    warmup_share: float = 0.05
    """Share of all steps in which the learning rate rises from 0."""
    final_share: float = 0.0
    """The cosine ends at this share of the peak."""
    weight_decay: float = 0.01
    """Decoupled weight decay; biases, norms and embeddings are left out."""
    epsilon: float = 1e-7
    """What AdamW adds to the root of the second moment; a larger one keeps rounding from steering unused weights."""
    clip_norm: float | None = 1.0
    """Largest global gradient norm."""
    ema: float | None = None
    """Decay of the exponential moving average of the weights, for example 0.999; evaluation and export use it."""
    modality_dropout: float = 0.1
    """Chance that a modality is dropped from a training sample; never all of them."""
    modality_dropout_start: float = 0.3
    """Share of all steps before modalities are dropped: what needs two of them is learnt first, and far sooner."""
    early_stopping: int | None = None
    """Stop after so many epochs without a better validation score."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16", "float64"] = "auto"
    """Computation dtype; auto is mixed_bfloat16 on a GPU that has it, else float32. float64 shows rounding errors."""
    xla: Literal["auto", "on", "off"] = "auto"
    """Compile the step with XLA; auto does so on a GPU only, since it slows CPU steps tenfold."""
    seed: int = 0
    """Seed of weights, order, augmentation and dropout."""
    deterministic: bool = False
    """Bit-for-bit reproducible training on the same machine; slower."""
    profile: bool = False
    """Write a TensorBoard profiler trace of steps 10 to 20."""


@dataclass(frozen=True)
class StageConfig:
    """One stage of a training."""

    name: str
    """Name of the stage, for its folder, messages and reports."""
    method: str = "supervised"
    """Training method by module name in mmkeras/training/methods."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the method; its docstring describes them."""
    train: dict[str, Any] = field(default_factory=dict)
    """Keys of [train] that are different in this stage."""


@dataclass(frozen=True)
class EvaluateConfig:
    """How the test split is evaluated."""

    batch_size: int = 256
    """Samples in a forward pass."""
    bootstrap: int = 1000
    """Resamples behind every interval."""
    confidence: float = 0.95
    """Coverage of the intervals."""
    slices: tuple[str, ...] = ()
    """Columns to report by; empty means every column the source brings."""
    pictures: int = 12
    """Samples shown in the report and in TensorBoard."""


@dataclass(frozen=True)
class ExportConfig:
    """What is exported and how it is held to the Keras model."""

    reads: ClassVar[tuple[str, ...]] = ("calibration",)
    writes: ClassVar[tuple[str, ...]] = ("folder",)
    folder: str = "saved_models"
    """Bundles go to <folder>/<name>/<version>, those of named submodels to <folder>/<name>.<submodel>/<version>."""
    formats: tuple[str, ...] = ("saved_model", "tflite", "onnx")
    """Formats to write."""
    precisions: tuple[str, ...] = ("float32", "float16", "int8-dynamic", "int8")
    """Precisions to write where the format has them."""
    samples: int = 500
    """Test samples that every file is verified on, in every modality scenario."""
    ladder: bool = False
    """Go from the smallest precision up and ship the first of each format that holds the budget."""
    max_metric_drop: float | None = None
    """Largest loss of the task metric in points, in every scenario and slice; each precision's own when not given."""
    max_flips: float | None = None
    """Largest share of changed decisions in percent where everything is there; each precision's own when not given."""
    calibration: str = ""
    """A .npz file of samples that static int8 measures its ranges on; chosen from the training split when empty."""
    calibration_samples: int = 200
    """Training samples to choose for that."""


@dataclass(frozen=True)
class ClusterConfig:
    """Where the model is trained; deploy/README.md leads from one GPU to a cluster."""

    strategy: Literal["auto", "one_device", "mirrored", "multi_worker"] = "auto"
    """auto: the workers that TF_CONFIG, MMKERAS_HOSTS or Slurm name, else all GPUs of this machine, else one device."""
    workers: int = 1
    """Worker processes to start on this machine, for trying out; a scheduler starts its own."""
    devices: int | None = None
    """Devices of a worker; all its GPUs when not given. Without a GPU the CPU is divided into so many."""
    batch: Literal["global", "per_replica"] = "global"
    """global: train.batch_size is shared by all devices, and the result does not depend on their number. per_replica:
    every device has so many samples."""
    scale_learning_rate: Literal["none", "linear", "sqrt"] = "none"
    """With batch per_replica: multiply train.learning_rate by the number of devices, or by its square root."""
    pin: bool = False
    """Give each worker that --cluster.workers starts cores of its own."""
    port: int | None = None
    """Port of the workers, where hosts are named without one."""
    heartbeat_seconds: int = 10
    """A worker that is silent for so long counts as dead, and the others stop."""
    wait_seconds: int = 600
    """How long workers wait for each other at the start."""
    resume_unfinished: bool = False
    """Go on with the latest run of this name when it was not finished: for jobs that a scheduler starts again."""


@dataclass(frozen=True)
class PrivacyConfig:
    """What of the samples may be written elsewhere: reports, logs, TensorBoard, quarantine, bundles."""

    redact: Literal["none", "text", "all"] = "none"
    """text: no texts of samples, and no words of them in messages. all: no pictures of them either, and hashes in place
    of their names and of column values. The converted data and the arrays of golden samples stay as they are."""


@dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    writes: ClassVar[tuple[str, ...]] = ("runs",)
    moved: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions and those to use in their place; `mmkeras.core.command_line` refuses the old ones."""
    name: str = "model"
    """Name of the run's folder and of the saved model."""
    runs: str = "runs"
    """The run goes to <runs>/<name>/<time>."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    stages: tuple[StageConfig, ...] = ()
    """Stages of the training, one after the other; empty is one supervised stage with [train]."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)


def declared_modalities(model: ModelConfig) -> dict[str, Any]:
    """Return the modality configurations of a model by name, those among them that it is built without."""
    return {
        f.name: value
        for f in dataclasses.fields(model)
        if type(value := getattr(model, f.name)).__module__.startswith("mmkeras.modalities.")
    }


def modality_configs(model: ModelConfig) -> dict[str, Any]:
    """Return the modality configurations of a model by name, in the order of its fields.

    Raises:
        ConfigError: ``without`` names something that is no modality of the model.
    """
    every = declared_modalities(model)
    for name in model.without:
        if name not in every:
            raise ConfigError(f"model.without: no modality is called {name!r}; {nearest(name, every)}")
    return {name: value for name, value in every.items() if name not in model.without}
