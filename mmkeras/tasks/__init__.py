"""One room per task: its labels, outputs, loss and metrics in one place.

A room ``mmkeras/tasks/<name>/`` holds

- ``spec.py``: a frozen ``Config`` (what a user chooses) and a frozen ``Spec`` (outputs, decoding, decisions and
  metrics on the host). numpy only; no TensorFlow, no Keras.
- ``head.py``: its Keras head, losses and metrics: ``build(encoded, spec, config)`` (`mmkeras.layers.tokens.Encoded`),
  ``losses(spec, config, class_counts)`` (`mmkeras.layers.batch`) and ``metrics(spec)``.
"""

from mmkeras.tasks._contract import TaskConfig, TaskSpec, task_from_json
from mmkeras.tasks._targets import TargetSpec

__all__ = ["TargetSpec", "TaskConfig", "TaskSpec", "task_from_json"]
