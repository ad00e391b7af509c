"""Evaluation of a model on held-out data: metrics, slices, ablations, pictures, report."""

from mmkeras.evaluation.evaluate import evaluate
from mmkeras.evaluation.report import render_report, write_report
from mmkeras.evaluation.samples import Samples, collect, read

__all__ = ["Samples", "collect", "evaluate", "read", "render_report", "write_report"]
