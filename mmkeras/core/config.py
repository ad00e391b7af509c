"""The configuration of a run: frozen dataclasses whose field docstrings are the command line's help texts.

A pipeline subclasses `RunConfig` and `ModelConfig`, and gives the model one field for each modality
(`mmkeras.core.modalities`). A class lists the fields that are paths: the files in ``reads`` must exist, those in
``writes`` are created.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from mmkeras.core.components import Choice

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
    """Share that goes to validation; the rest is the test split. If the source has a test split, the share is taken
    from training."""
    split_by_group: bool = False
    """Require a group in every row; all samples of a group are in the same split."""
    stratify: bool = False
    """Split the groups of every label in these shares, so that no split lacks a rare label. A label with at least three
    groups is in all three splits. For one label per sample."""
    keep_together: Literal["content", "path", "none"] = "content"
    """What keeps rows without a group in the same split: a file of equal content, one of the same path, or nothing."""
    split_seed: int = 0
    """Seed of the split."""
    samples_per_shard: int = 4096
    """Samples in one TFRecord file."""
    workers: int = 2
    """Processes that convert the data."""
    max_bad_share: float = 0.01
    """Conversion stops when more than this share of the rows is quarantined."""
    max_bad_records: int = 10
    """Converted records that may be damaged on disk: they are left out and reported. The run stops when there are
    more."""
    limit: int | None = None
    """Number of samples to use of each split, from its start; for trials."""
    cache: Literal["memory", "disk", "none"] = "memory"
    """Keep decoded samples in memory, on disk beside the shards, or decode in every epoch."""
    frozen_cache_gib: float = 4.0
    """Most GiB for the outputs of a frozen branch, which are computed once and kept beside the shards (needs another
    cache than none, and no augmentation of its input); 0 computes them in every step."""
    shuffle_buffer: int = 8192
    """Samples in the shuffle buffer when the cache is not in memory."""


@dataclass(frozen=True)
class ModelConfig:
    """The model. A pipeline or a configuration adds its modalities as fields."""

    width: int = 128
    """Width of the tokens that branches, fusion and head share."""
    fusion: Choice = field(default_factory=lambda: Choice("cross_attention"))
    """Fusion by module name in mmkeras/fusion, with its options."""
    task: Choice = field(default_factory=lambda: Choice("classification"))
    """Task by module name in mmkeras/tasks, with its options."""
    without: tuple[str, ...] = ()
    """Modalities that the model is built without, to measure their contribution."""


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
    """Steps between further checkpoints, for long epochs; the state is always saved after an epoch and on Ctrl-C."""
    checkpoint_minutes: float | None = None
    """Minutes between further checkpoints."""
    accumulate: int = 1
    """Steps whose gradients are averaged into one update of the weights: a larger batch without its memory."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    warmup_share: float = 0.05
    """Share of all steps in which the learning rate rises from 0."""
    final_share: float = 0.0
    """The cosine ends at this share of the peak."""
    weight_decay: float = 0.01
    """Decoupled weight decay; biases, norms and embeddings are left out."""
    epsilon: float = 1e-7
    """Added to the root of AdamW's second moment; a larger value keeps rounding errors from moving unused weights."""
    clip_norm: float | None = 1.0
    """Largest global gradient norm."""
    ema: float | None = None
    """Decay of the exponential moving average of the weights, for example 0.999; evaluation and export use it."""
    modality_dropout: float = 0.1
    """Chance that a modality is dropped from a training sample; never all of them."""
    modality_dropout_start: float = 0.3
    """Share of all steps before modalities are dropped, so that relations between modalities are learned first."""
    early_stopping: int | None = None
    """Epochs without a better validation score after which training stops."""
    max_minutes: float | None = None
    """Minutes of training: it ends after the last epoch that fits. Not with several workers."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16", "float64"] = "auto"
    """Computation dtype; auto is mixed_bfloat16 on a GPU that has it, else float32. float64 shows whether a difference
    is rounding error."""
    xla: Literal["auto", "on", "off"] = "auto"
    """Compile the step with XLA; auto compiles on a GPU only, because XLA makes CPU steps ten times slower."""
    seed: int = 0
    """Seed of initial weights, sample order, augmentation and dropout."""
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
    """Keys of [train] with another value in this stage."""


@dataclass(frozen=True)
class EvaluateConfig:
    """How the test split is evaluated."""

    batch_size: int = 256
    """Samples in a forward pass."""
    bootstrap: int = 1000
    """Bootstrap resamples for each interval."""
    confidence: float = 0.95
    """Coverage of the intervals."""
    slices: tuple[str, ...] = ()
    """Columns whose values are reported separately; empty means every column of the source."""
    pictures: int = 12
    """Samples shown in the report and in TensorBoard."""


@dataclass(frozen=True)
class ExportConfig:
    """What is exported and how it is verified against the Keras model."""

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
    search_samples: int = 300
    """Validation samples to seek the layers that stay in float with, at most ``samples``; fewer take less time."""
    ladder: bool = False
    """Try precisions from the smallest up and keep the first of each format that meets the limits."""
    max_metric_drop: float | None = None
    """Largest drop of the task metric in points, in every scenario and slice; each precision's own when not given."""
    max_flips: float | None = None
    """Largest share of changed decisions in percent with all modalities; each precision's own when not given."""
    calibration: str = ""
    """A .npz file of samples to measure the ranges of static int8 on; chosen from the training split when empty."""
    calibration_samples: int = 200
    """Training samples to choose for the calibration."""


@dataclass(frozen=True)
class ClusterConfig:
    """Where the model is trained; deploy/README.md describes one GPU to a cluster."""

    strategy: Literal["auto", "one_device", "mirrored", "multi_worker"] = "auto"
    """auto: the workers that TF_CONFIG, MMKERAS_HOSTS or Slurm name, else all GPUs of this machine, else one device."""
    workers: int = 1
    """Worker processes to start on this machine, for trials; a scheduler starts its own."""
    devices: int | None = None
    """Devices of a worker; all its GPUs when not given. Without a GPU, the logical devices of the CPU."""
    batch: Literal["global", "per_replica"] = "global"
    """global: all devices share train.batch_size, and the result does not depend on their number. per_replica: each
    device has a batch of that size."""
    scale_learning_rate: Literal["none", "linear", "sqrt"] = "none"
    """With batch per_replica: multiply train.learning_rate by the number of devices, or by its square root."""
    pin: bool = False
    """Pin each worker that --cluster.workers starts to cores of its own."""
    port: int | None = None
    """Port of the workers, for hosts that are given without one."""
    heartbeat_seconds: int = 10
    """Seconds without a heartbeat after which a worker counts as dead and the others stop."""
    wait_seconds: int = 600
    """Seconds that workers wait for each other at the start."""
    resume_unfinished: bool = False
    """Resume the latest run of this name if it is not finished, for jobs that a scheduler restarts."""


@dataclass(frozen=True)
class PrivacyConfig:
    """Which sample data may appear in reports, logs, TensorBoard, quarantine and bundles."""

    redact: Literal["none", "text", "all"] = "none"
    """text: no texts of samples, and no words of them in messages. all: no pictures either, and hashes instead of
    sample names and column values. The converted data and the arrays of golden samples stay as they are."""


@dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    writes: ClassVar[tuple[str, ...]] = ("runs",)
    moved: ClassVar[Mapping[str, str]] = {}
    """New key by key of an earlier version; `mmkeras.core.command_line` rejects the old keys."""
    name: str = "model"
    """Name of the run's folder and of the saved model."""
    runs: str = "runs"
    """The run goes to <runs>/<name>/<time>."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    stages: tuple[StageConfig, ...] = ()
    """Stages of the training in their order; empty means one supervised stage with [train]."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
