"""LiteRT: checks that every operation is built in, and finds what stays in float when the model is quantised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.doctor.converter import Converter
from export.doctor.culprits import blame
from export.doctor.cures import INT64, flex
from export.doctor.litert_file import LiteRTFile, float_islands, read_file, wide_ranges
from export.doctor.scopes import Scopes, Step, origins, recorded
from export.doctor.verdicts import Examination, Finding, Verdict
from export.doctor.verdicts import reason as reason_of
from mmkeras.core.errors import ExportError

if TYPE_CHECKING:
    import keras

__all__ = ["COUNT", "LiteRTExamination", "made_up", "output_makers", "save_frozen"]

COUNT = 6
_LOOSE = 8
_MASKS = ("mask", "valid", "padding")


def save_frozen(model: keras.Model, folder: Path) -> None:
    """Trace a model and write it with its weights as constants; inputs keep their names.

    An export writes the whole Keras model, which takes longer than the conversion and gives the same operations.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    names = [tensor.name for tensor in model.inputs]

    def forward(*tensors: Any) -> dict[str, Any]:
        return dict(model(dict(zip(names, tensors, strict=True)), training=False))

    signature = [tf.TensorSpec((1, *i.shape[1:]), i.dtype, name=i.name) for i in model.inputs]
    traced = tf.function(forward, autograph=False, input_signature=signature).get_concrete_function()
    tf.saved_model.save(tf.Module(), str(folder), signatures=convert_variables_to_constants_v2(traced))


def output_makers(model: keras.Model) -> dict[str, str]:
    """Return the path of the layer that makes each output of what `save_frozen` wrote, by the output's name there.

    The converter names the operation of an output after the output instead of the layer.
    """
    from keras.src.models import Functional

    found = {}
    # The outputs of a function without variables have no names; they are in the order of the sorted names.
    for index, name in enumerate(sorted(model.output)):
        tensor, path = model.output[name], []
        while True:
            history = tensor._keras_history
            path.append(history.operation.name)
            if not isinstance(history.operation, Functional):
                break
            tensor = history.operation.outputs[history.tensor_index]
        found[f"output_{index}"] = "/".join(path)
    return found


def made_up(model: keras.Model, seed: int = 0) -> dict[str, np.ndarray]:
    """Return samples (COUNT, ...) of every input of a model, in the input's own dtype.

    Bytes are noise. Integers are ids within every embedding of the model; inputs named like a mask start with ones.
    Presence inputs are 0 in one sample and 1 in the others. Other inputs are normally distributed.

    The samples show which operations stay in float and where values are huge; they say nothing about accuracy.
    """
    from keras.backend import standardize_dtype

    rng = np.random.default_rng(seed)
    rows = [getattr(layer, "input_dim", None) for layer in model._flatten_layers()]
    ids = min((size for size in rows if isinstance(size, int)), default=2)
    return {each.name: _one(each, standardize_dtype(each.dtype), ids, rng) for each in model.inputs}


def _one(tensor: Any, dtype: str, ids: int, rng: np.random.Generator) -> np.ndarray:
    shape = (COUNT, *(_LOOSE if size is None else size for size in tensor.shape[1:]))
    if dtype == "uint8":
        return rng.integers(0, 256, shape).astype(dtype)
    if any(word in tensor.name for word in _MASKS) and len(shape) > 1:
        lengths = rng.integers(1, shape[-1] + 1, (*shape[:-1], 1))
        return (np.arange(shape[-1]) < lengths).astype(dtype)
    if dtype == "bool" or "int" in dtype:
        return rng.integers(0, 2 if dtype == "bool" else max(ids, 1), shape).astype(dtype)
    if len(shape) == 1:
        return (np.arange(COUNT) != rng.integers(0, COUNT)).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


class LiteRTExamination:
    """Examines a model in two steps, so that other targets are examined while the converter runs."""

    def __init__(self, model: keras.Model, converter: Converter, work: Path, say: Callable[[str], None]) -> None:
        import tensorflow as tf

        self._model, self._converter, self._say = model, converter, say
        self._folder, self._samples = work / "litert", work / "samples.npz"
        self._pieces = 0
        self._result = Examination("tflite", (f"the LiteRT converter of TensorFlow {tf.__version__}",))
        self._untraceable = ""
        self._float: Callable[[], bytes] | None = None
        self._int8: Callable[[], bytes] | None = None
        np.savez(self._samples, **made_up(model))  # type: ignore[arg-type]
        say("tflite: tracing")
        with recorded() as scopes:
            try:
                save_frozen(model, self._folder)
            except Exception as error:  # a layer may raise anything when it is traced
                self._untraceable = reason_of(str(error))
        self.scopes: Scopes = scopes
        if not self._untraceable:
            self._float = converter.submit(self._folder, "builtin")
            self._int8 = converter.submit(self._folder, "int8", self._samples)

    def finish(self) -> Examination:
        """Wait for the conversions and return the examination."""
        if self._float is None or self._int8 is None:
            self._blame("select", self._untraceable)
            return self._result
        self._say("tflite: converting")
        refused = ""
        try:
            file = read_file(self._float())
        except ExportError as error:
            refused = str(error)
        # Results come in the order of submission; after a crash, both conversions fail.
        try:
            quantised = self._int8()
        except ExportError as error:
            quantised, reason = b"", str(error)
        if refused:
            found = self._with_flex(refused)
            if found is None:
                return self._result
            file = found
        for operation, paths in zip(file.operations, self._origins(file), strict=True):
            for path in paths or ("",):
                self._result.operators.setdefault(path, Counter())[operation.operator] += 1
            touched = [file.tensors[number] for number in (*operation.inputs, *operation.outputs)]
            if any(tensor.dtype == "int64" and not tensor.constant for tensor in touched):
                message = "int64: kept on the CPU by delegates for GPUs and NPUs"
                self._result.add(Finding(Verdict.INT64, False, paths, (operation.operator,), message, INT64))
        if quantised:
            file = read_file(quantised)
            layers = self._origins(file)
            for finding in (*wide_ranges(file, layers, self.scopes), *float_islands(file, layers, self.scopes)):
                self._result.add(finding)
        elif not self._result.errors:
            self._blame("int8", reason, error=False)
        else:
            self._result.notes.append("not quantised: the model has errors")
        return self._result

    def _with_flex(self, refused: str) -> LiteRTFile | None:
        """Convert with all operations allowed, and report those that an export refuses."""
        self._say("tflite: looking for operations that are not built in")
        try:
            file = read_file(self._converter.convert(self._folder, "select"))
        except ExportError as error:
            self._blame("select", str(error))
            return None
        for operation, paths in zip(file.operations, self._origins(file), strict=True):
            if operation.custom:
                name = operation.operator.removeprefix("Flex")
                message = f"LiteRT has no built-in operation for {name}"
                self._result.add(Finding(Verdict.FLEX, True, paths, (operation.operator,), message, flex(name)))
        if not self._result.errors:
            self._blame("builtin", refused)
        return file

    def _blame(self, mode: str, reason: str, *, error: bool = True) -> None:
        """Report the layers that cannot be converted."""

        def problem(model: keras.Model) -> str:
            self._pieces += 1
            folder = self._folder.with_name(f"litert-{self._pieces}")
            samples = folder.with_suffix(".npz")
            try:
                save_frozen(model, folder)
                np.savez(samples, **made_up(model))  # type: ignore[arg-type]
                self._converter.convert(folder, mode, samples)
            except Exception as failure:  # any failure of a part is a result of the search
                return str(failure) or type(failure).__name__
            return ""

        what = "int8 fails" if mode == "int8" else "the conversion fails"
        blame(self._result, self._model, problem, reason, self.scopes, self._say, what=what, error=error)

    def _origins(self, file: LiteRTFile) -> list[tuple[str, ...]]:
        makers = output_makers(self._model)
        made = {number: makers[name] for name, number in file.outputs.items() if name in makers}
        steps = []
        for operation in file.operations:
            constants = [number for number in operation.inputs if file.tensors[number].constant]
            steps.append(
                Step(
                    tuple(file.tensors[number].name for number in operation.outputs),
                    tuple(number for number in operation.inputs if number not in constants),
                    operation.outputs,
                    tuple(file.tensors[number].name for number in constants),
                    tuple(made[number] for number in operation.outputs if number in made),
                )
            )
        return origins(steps, self.scopes)
