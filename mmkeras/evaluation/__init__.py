"""What a model is worth on data it has not seen: metrics, slices, ablations, pictures, report."""

from mmkeras.evaluation.evaluate import evaluate
from mmkeras.evaluation.report import render_report, write_report
from mmkeras.evaluation.samples import Samples, collect, read

__all__ = ["Samples", "collect", "evaluate", "read", "render_report", "write_report"]
