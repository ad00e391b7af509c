"""The Keras model: branches, fusion and head in one functional model."""

from mmkeras.model.build import (
    NullToken,
    attention_model,
    build_model,
    check_augmentation,
    learning_rate_factors,
    modality_specs,
    specs_before_data,
    task_config,
    task_spec,
)

__all__ = [
    "NullToken",
    "attention_model",
    "build_model",
    "check_augmentation",
    "learning_rate_factors",
    "modality_specs",
    "specs_before_data",
    "task_config",
    "task_spec",
]
