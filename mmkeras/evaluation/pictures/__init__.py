"""Matplotlib figures for the report and TensorBoard."""

from mmkeras.evaluation.pictures.ablation import ablation_figure, slices_figure
from mmkeras.evaluation.pictures.attention import attention_figure
from mmkeras.evaluation.pictures.calibration import calibration_figure
from mmkeras.evaluation.pictures.confusion import confusion_figure
from mmkeras.evaluation.pictures.gallery import Scene, gallery_figure
from mmkeras.evaluation.pictures.samples import Card, samples_figure
from mmkeras.evaluation.pictures.style import figure_to_array, figure_to_png

__all__ = [
    "Card",
    "Scene",
    "ablation_figure",
    "attention_figure",
    "calibration_figure",
    "confusion_figure",
    "figure_to_array",
    "figure_to_png",
    "gallery_figure",
    "samples_figure",
    "slices_figure",
]
