"""One package per task, with its labels, outputs, loss and metrics.

A package ``mmkeras/tasks/<name>/`` holds

- ``spec.py``: a frozen ``Config`` (what a user chooses) and a frozen ``Spec`` (outputs, decoding, decisions and
  metrics). numpy only; no TensorFlow, no Keras.
- ``head.py``: its Keras head and losses: ``build(encoded, spec, config)`` (`mmkeras.layers.tokens.Encoded`),
  ``losses(spec, config, class_counts)`` (`mmkeras.layers.batch`) and, if parts of the model are exported as models of
  their own, ``submodels(model, spec)``.
"""

from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._contract import TaskSpec, task_from_json
from mmkeras.tasks._submodels import SubmodelOutputs
from mmkeras.tasks._targets import TargetSpec

__all__ = ["SubmodelOutputs", "TargetSpec", "TaskConfig", "TaskSpec", "task_from_json"]
