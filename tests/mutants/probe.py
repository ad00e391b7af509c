"""Stands between runners and whoever calls them: plants changes of inputs and outputs, and keeps what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from mmkeras.runtime.runner import runners
from tests.mutants.kind import Arrays, Scene, Signal

__all__ = ["Probe"]


class Probe:
    """A context in which every runner, and every SavedModel that is loaded, goes through this object."""

    def __init__(self, scene: Scene, signal: Signal | None = None, honest: dict[Any, Arrays] | None = None) -> None:
        """Prepare.

        Args:
            scene: what the change may look at.
            signal: what is changed; nothing when not given.
            honest: outputs of the honest files by file name and inputs, filled and used where inputs are not changed;
                not given where files are not the honest ones.
        """
        self._scene, self._signal, self._honest = scene, signal or Signal(), honest
        self.seen: list[Arrays] = []
        """Outputs in the order of the calls."""

    def run(self, name: str, inputs: Mapping[str, Any], infer: Any) -> Arrays:
        """Run one call with the fault in it."""
        given = {key: np.asarray(value) for key, value in inputs.items()}
        self._scene.given = given
        changed = self._signal.inputs(given, self._scene) if self._signal.inputs else given
        key = None
        if self._honest is not None and self._signal.inputs is None:
            key = (name, *(array.tobytes() for array in given.values()))
        outputs = self._honest.get(key) if self._honest is not None and key is not None else None
        if outputs is None:
            outputs = {name: np.asarray(value) for name, value in infer(changed).items()}
            if self._honest is not None and key is not None:
                self._honest[key] = outputs
        result = self._signal.outputs(dict(outputs), self._scene) if self._signal.outputs else dict(outputs)
        self.seen.append(result)
        return result

    @contextmanager
    def planted(self) -> Iterator[Probe]:
        """Plant the change in all runners."""
        kept = {cls: cls.infer for cls in runners().values()}
        try:
            for cls, infer in kept.items():
                cls.infer = self._wrapped(infer)
            yield self
        finally:
            for cls, infer in kept.items():
                cls.infer = infer

    def _wrapped(self, infer: Any) -> Any:
        def wrapped(runner: Any, inputs: Mapping[str, np.ndarray]) -> Arrays:
            return self.run(runner.path.name, inputs, lambda changed: infer(runner, changed))

        return wrapped

    @contextmanager
    def planted_in_saved_models(self) -> Iterator[Probe]:
        """Plant the change in the tensor endpoint of every SavedModel; the raw endpoint keeps its inputs."""
        import tensorflow as tf

        own = tf.saved_model.load

        def load(*arguments: Any, **named: Any) -> Any:
            loaded = own(*arguments, **named)
            return _Loaded(loaded, {name: self._signature(loaded.signatures[name]) for name in loaded.signatures})

        try:
            tf.saved_model.load = load
            yield self
        finally:
            tf.saved_model.load = own

    def _signature(self, signature: Any) -> Any:
        import tensorflow as tf

        def called(**inputs: Any) -> dict[str, Any]:
            raw = any(value.dtype == tf.string for value in inputs.values())
            if raw:
                given = {
                    f"{name}_present": np.array([bool(v) for v in value.numpy()]) for name, value in inputs.items()
                }
                self._scene.given = given
                outputs = {name: value.numpy() for name, value in signature(**inputs).items()}
                if self._signal.outputs:
                    outputs = self._signal.outputs(outputs, self._scene)
                self.seen.append({name: value for name, value in outputs.items() if value.dtype.kind == "f"})
                return {name: tf.constant(value) for name, value in outputs.items()}

            def infer(changed: Arrays) -> dict[str, Any]:
                result = signature(**{name: tf.constant(value) for name, value in changed.items()})
                return {name: value.numpy() for name, value in result.items()}

            outputs = self.run("saved_model", {name: value.numpy() for name, value in inputs.items()}, infer)
            return {name: tf.constant(value) for name, value in outputs.items()}

        return called


class _Loaded:
    """A SavedModel with other signatures; keeps the real one alive."""

    def __init__(self, loaded: Any, signatures: dict[str, Any]) -> None:
        self._loaded, self.signatures = loaded, signatures
