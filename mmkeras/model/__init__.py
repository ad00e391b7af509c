"""The Keras model: branches, fusion and head in one functional model."""

from mmkeras.model.build import (
    NullToken,
    attention_model,
    build_model,
    check_model,
    learning_rate_factors,
    modality_specs,
    specs_before_data,
    task_config,
    task_spec,
)
from mmkeras.model.submodels import Submodel, submodels

__all__ = [
    "NullToken",
    "Submodel",
    "attention_model",
    "build_model",
    "check_model",
    "learning_rate_factors",
    "modality_specs",
    "specs_before_data",
    "submodels",
    "task_config",
    "task_spec",
]
