"""The mmkeras side of the race: easy-VQA's network by its configuration, its training step and its exported files.

    python -m tests.race.ours FOLDER

It writes weights.npz, batch.npz and expected.npz for the other side into FOLDER.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.race.serving import measured, peak_gigabytes, serve

__all__ = ["make"]

_WARM = 3
_BEFORE = 20
"""Steps before the weights are written, so that the statistics of batch normalization are not those of the start."""


def make(folder: str) -> Mapping[str, Callable[..., Any]]:
    """Build and compile the network, and return what can be asked."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    side = _Side(Path(folder))
    return {
        "prepare": side.prepare,
        "step": side.step,
        "export": side.export,
        "infer": side.infer,
        "facts": side.facts,
        "memory": peak_gigabytes,
    }


class _Side:
    def __init__(self, folder: Path) -> None:
        import keras

        from mmkeras.core.console import Console
        from mmkeras.core.modalities import modality_configs
        from mmkeras.data.convert import convert
        from mmkeras.data.dataset import train_dataset
        from mmkeras.model import build_model, modality_specs, specs_before_data, task_config, task_spec
        from mmkeras.training.environment import prepare
        from mmkeras.training.resolve import resolve
        from mmkeras.training.run import Run
        from tests.race.table import easy_vqa_config

        config = easy_vqa_config()
        self.folder = folder
        self.console = Console(stderr=True)
        index = convert(config.data, specs_before_data(config.model), task_config(config.model), self.console)
        decided = prepare(config.train)
        place = folder / "run"
        place.mkdir(parents=True, exist_ok=True)
        self.config = resolve(config, index, place)
        specs = modality_specs(self.config.model)
        self.run = Run.create(place, self.config, specs, task_spec(self.config.model), index, decided)
        keras.utils.set_random_seed(0)
        self.model = build_model(self.config.model)
        self.index = index
        data = train_dataset(
            index,
            self.run.specs,
            modality_configs(self.config.model),
            self.run.task,
            batch_size=self.config.train.batch_size,
            seed=0,
            modality_dropout=self.config.train.modality_dropout,
        )
        self.batch = tf.nest.map_structure(lambda each: tf.constant(each.numpy()), next(iter(data)))
        self.steps: dict[str, tuple[Callable[[], Any], Iterator[Any]]] = {}
        self.engines: dict[str, Callable[[], Any]] = {}

    def prepare(self) -> dict[str, Any]:
        """Train a few steps, and write weights, batch, outputs, loss and gradients."""
        self.step("fused", _BEFORE)
        self.prepared = self.model.get_weights()
        np.savez(self.folder / "weights.npz", **{each.path: each.numpy() for each in self.model.weights})
        inputs, targets, weights = self.batch
        arrays = {name: value.numpy() for name, value in inputs.items()}
        np.savez(self.folder / "batch.npz", **arrays, labels=targets["probabilities"].numpy(), weights=weights.numpy())
        outputs = self.model(inputs, training=False)["probabilities"]
        statistics = [each.numpy() for each in self.model.non_trainable_variables]
        with self._faster("fused"), tf.GradientTape() as tape:
            found = self.model(inputs, training=True)
            loss = self.model.compute_loss(inputs, targets, found, weights)
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, [each.value for each in variables])
        for variable, value in zip(self.model.non_trainable_variables, statistics, strict=True):
            variable.assign(value)
        dense = {
            f"gradient/{variable.path}": tf.convert_to_tensor(gradient).numpy()
            for variable, gradient in zip(variables, gradients, strict=True)
            if gradient is not None
        }
        np.savez(self.folder / "expected.npz", outputs=outputs.numpy(), loss=loss.numpy(), **dense)
        return {"batch": len(weights), "parameters": int(sum(np.prod(each.shape) for each in variables))}

    def step(self, form: str, times: int) -> dict[str, float]:
        """Train with ``fused`` operations, as a run does, or with those of ``keras``."""
        if form not in self.steps:
            self._compile()
            self.model.make_train_function(force=True)
            train, data = self.model.train_function, iter(tf.data.Dataset.from_tensors(self.batch).repeat())
            with self._faster(form):
                for _ in range(_WARM):
                    train(data)
            self.steps[form] = (lambda: float(next(iter(train(data).values()))), data)
        return measured(self.steps[form][0], times)

    def _compile(self) -> None:
        from mmkeras.training.compiling import compile_model
        from mmkeras.training.stages import stages_of

        (stage,) = stages_of(self.config, self.run, self.index)
        compile_model(self.model, stage, 100_000, jit_compile=False)

    def _faster(self, form: str) -> ExitStack:
        from mmkeras.training.flat_dense import flat_dense
        from mmkeras.training.fused_batch_norm import fused_batch_norm

        stack = ExitStack()
        for change in (fused_batch_norm, flat_dense) if form == "fused" else ():
            stack.enter_context(change(self.model))
        return stack

    def export(self) -> dict[str, float]:
        """Export and verify float32 files with the weights that the other side has."""
        from export.run import export_source
        from export.source import source_from_run
        from mmkeras.bundle import Bundle
        from mmkeras.core.config import ExportConfig

        self.model.set_weights(self.prepared)
        config = ExportConfig(
            folder=str(self.folder / "saved_models"), formats=("tflite", "onnx"), precisions=("float32",), samples=64
        )
        source = source_from_run(self.run, config.samples, self.model)
        report = export_source(source, config, console=self.console)
        bundle = Bundle.open(Path(report.folder))
        self.paths = {each.format: bundle.folder / each.path for each in bundle.files if each.precision == "float32"}
        return {name: path.stat().st_size / 1e6 for name, path in self.paths.items()}

    def infer(self, form: str, times: int) -> dict[str, Any]:
        """Answer for the first sample of the batch with an exported file."""
        if form not in self.engines:
            self.engines[form] = self._engine(form)
            for _ in range(10 * _WARM):
                self.engines[form]()
        first = self.engines[form]()
        return {**measured(self.engines[form], times), "outputs": np.asarray(first)[0].tolist()}

    def _engine(self, form: str) -> Callable[[], Any]:
        inputs = {name: value.numpy()[:1] for name, value in self.batch[0].items()}
        if form == "litert":
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(str(self.paths["tflite"]), num_threads=1)
            signature = interpreter.get_signature_runner()
            return lambda: signature(**inputs)["probabilities"]
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(self.paths["onnx"], options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, inputs)[0]

    def facts(self) -> dict[str, Any]:
        """Return versions."""
        from mmkeras.training.environment import machine, package_versions

        return {"machine": machine(), "packages": package_versions()}


if __name__ == "__main__":
    serve(make)
