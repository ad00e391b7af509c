from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mmkeras.core.modalities import modality_configs
from mmkeras.data import frozen as tables
from mmkeras.data.arrays import Arrays, load_arrays
from mmkeras.data.dataset import eval_dataset, train_dataset
from mmkeras.layers.keras_files import load_model
from mmkeras.layers.keras_settings import use_keras
from mmkeras.model import build_model
from mmkeras.training import checkpoints
from mmkeras.training.cluster.connect import ALONE
from mmkeras.training.frozen.branches import FrozenBranches, frozen_branches
from mmkeras.training.interrupts import Interrupted
from tests.training.tiny_run import TinyRun, start

FROZEN = ("--data.cache", "memory", "--model.image.frozen_stages", "-1", "--model.text.frozen", "true")
EVERY = "the outputs of the frozen branch are computed in every step: "


def _start(folder: Path, *options: str) -> TinyRun:
    folder.mkdir()
    run = start(folder, picture=True, options=(*FROZEN, *options))
    keras.utils.set_random_seed(3)
    return run


def _weights(run: TinyRun) -> list[np.ndarray]:
    weights: list[np.ndarray] = load_model(run.run.folder / "best.keras").get_weights()
    return weights


def _fit(run: TinyRun) -> None:
    """Train in float64, where a difference is no rounding: AdamW turns the sign of a tiny gradient into a step."""
    run.run.provenance["decided"]["precision"] = "float64"
    use_keras("float64")
    keras.utils.set_random_seed(3)
    run.fit()


def _files(run: TinyRun) -> list[Path]:
    return sorted((run.index.folder / "frozen").glob("*/*.npy"))


# === Whole trainings ===


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    run = _start(tmp_path_factory.mktemp("frozen") / "once", "--model.text.pooling", "mean")
    _fit(run)
    return run


def test_training_behind_frozen_branches_gives_the_same_model(once: TinyRun, tmp_path: Path):
    every = _start(tmp_path / "every", "--model.text.pooling", "mean", "--data.frozen_cache_gib", "0")
    _fit(every)
    for name in ("image", "text"):
        for split in ("train", "validation"):
            assert f"{name}, {split}: outputs of the frozen branch for" in once.said
        assert f"{name}: {EVERY}data.frozen_cache_gib is 0" in every.said
    assert len(_files(once)) == 4
    assert not _files(every)
    # Not bit by bit: a convolution over a batch of another size adds in another order.
    for ours, theirs in zip(_weights(once), _weights(every), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    ours, theirs = (run.run.provenance["stages"][0]["best"] for run in (once, every))
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_the_saved_model_is_whole(once: TinyRun):
    model = load_model(once.run.folder / "best.keras")
    inputs = {tensor.name: np.zeros((2, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs}
    assert {"image", "text_token_ids"} <= inputs.keys()
    assert all(np.isfinite(value).all() for value in model.predict_on_batch(inputs).values())


def test_a_resumed_training_ends_with_the_same_weights(once: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stopped = _start(tmp_path / "stopped", "--model.text.pooling", "mean")
    counted, steps = checkpoints.Checkpoints.on_train_batch_end, 0

    def stops(self: Any, batch: int, logs: Any = None) -> None:
        nonlocal steps
        counted(self, batch, logs)
        steps += 1
        if steps == 8:
            raise Interrupted("the test")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "on_train_batch_end", stops)
        with pytest.raises(Interrupted):
            _fit(stopped)
    use_keras("float64")
    stopped.resumed()
    assert stopped.said.count("computed once") == stopped.said.count("read from") == 4
    for ours, theirs in zip(_weights(stopped), _weights(once), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# === Which branches ===


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return _start(tmp_path_factory.mktemp("tables") / "run")


def _planned(run: TinyRun, said: list[str], seed: int = 3) -> FrozenBranches | None:
    keras.utils.set_random_seed(seed)
    return frozen_branches(build_model(run.config.model), run.stage, run.index, ALONE, said.append)


@pytest.mark.parametrize(
    ("options", "name", "reason"),
    [
        (("--model.image.brightness", "0.1"), "image", "its input is augmented (brightness)"),
        (("--model.text.mask_rate", "0.1"), "text", "its input is augmented (mask_rate)"),
        (("--model.image.flip", "true"), "image", "its input is augmented (flip)"),
        (("--model.image.frozen_stages", "2"), "image", "only a part of it is frozen"),
        (("--data.cache", "none"), "image", 'data.cache is "none"'),
        (("--data.frozen_cache_gib", "0.000001"), "image", "more than data.frozen_cache_gib (1e-06)"),
        (
            ("--model.image.architecture", "EfficientNetB0", *("--model.image.width_factor", "1.0")),
            *("image", "it is random in training (dropout)"),
        ),
    ],
)
def test_what_cannot_be_computed_once_says_why(tmp_path: Path, options: tuple[str, ...], name: str, reason: str):
    if "EfficientNetB0" in options:
        options = (*options, "--model.image.depth_factor", "1.0")
    said: list[str] = []
    found = _planned(_start(tmp_path / "run", *options), said)
    assert [line for line in said if re.match(f"{name}: {EVERY}.*{re.escape(reason)}", line)], said
    assert found is None or name not in found.parts


def test_a_trained_branch_says_nothing(tmp_path: Path):
    said: list[str] = []
    options = ("--model.image.frozen_stages", "0", "--model.text.frozen", "false")
    assert _planned(_start(tmp_path / "run", *options), said) is None
    assert not said


# === The files ===


def _arrays(run: TinyRun, said: list[str], seed: int = 3) -> Arrays:
    found = _planned(run, said, seed)
    assert found is not None
    return load_arrays(run.index, "train", run.run.specs, run.run.task, frozen=found.parts)


def test_outputs_are_those_of_the_model(run: TinyRun):
    said: list[str] = []
    frozen = _planned(run, said)
    assert frozen is not None
    model = frozen._model
    given = (run.index, "train", run.run.specs, run.run.task)
    (whole,), (cut,) = (
        eval_dataset(*given, batch_size=48, frozen=parts).as_numpy_iterator() for parts in ({}, frozen.parts)
    )
    assert "image" not in cut[0]
    assert {"text_padding_mask", "text_frozen_0", "image_frozen_0", "image_present"} <= cut[0].keys()
    expected = model(whole[0], training=False)
    seeds = [each for each in model.non_trainable_variables if "seed" in each.path]
    before = [each.numpy() for each in seeds]
    dropped = model(whole[0], training=True)
    after = [each.numpy() for each in seeds]
    frozen.attach()
    try:
        for name, value in model(cut[0], training=False).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-5)
        for seed, state in zip(seeds, before, strict=True):
            seed.assign(state)
        for name, value in model(cut[0], training=True).items():
            np.testing.assert_allclose(value, dropped[name], atol=1e-5)
            # Dropout behind the frozen part acts.
            assert np.abs(value - expected[name]).max() > 0.01
        assert seeds
        np.testing.assert_array_equal([each.numpy() for each in seeds], after)
        np.testing.assert_array_equal(model(whole[0], training=False)[name], expected[name])
    finally:
        frozen.release()
    assert "call" not in vars(model)
    for name, value in whole[1].items():
        np.testing.assert_array_equal(value, cut[1][name])


def test_the_order_of_the_samples_and_dropped_modalities_stay(run: TinyRun):
    frozen = _planned(run, [])
    assert frozen is not None
    given = (run.index, run.run.specs, modality_configs(run.config.model), run.run.task)
    options: dict[str, Any] = {"batch_size": 8, "seed": 5, "start_step": 3, "modality_dropout": 0.5}
    streams = [train_dataset(*given, **options, frozen=parts).take(8) for parts in ({}, frozen.parts)]
    for whole, cut in zip(*(stream.as_numpy_iterator() for stream in streams), strict=True):
        for name in ("image_present", "text_present"):
            np.testing.assert_array_equal(whole[0][name], cut[0][name])
        for name, value in whole[1].items():
            np.testing.assert_array_equal(value, cut[1][name])


def test_only_the_same_weights_are_answered_from_files(tmp_path: Path):
    run = _start(tmp_path / "run")
    said: list[str] = []
    _arrays(run, said)
    assert "\n".join(said).count("computed once") == 2
    _arrays(run, said)
    assert "\n".join(said).count("computed once") == "\n".join(said).count("read from") == 2
    _arrays(run, said, seed=4)
    assert "\n".join(said).count("computed once") == 4


def test_altered_files_are_found_and_computed_again(tmp_path: Path):
    run = _start(tmp_path / "run")
    said: list[str] = []
    _arrays(run, said)
    altered = next(path for path in _files(run) if path.parent.name.startswith("train-image"))
    content = altered.read_bytes()
    altered.write_bytes(content[:-64] + bytes(64))
    _arrays(run, said)
    assert "was altered, or is of other weights or data; it is computed again" in "\n".join(said)
    assert altered.read_bytes() == content


def test_stale_files_of_the_same_key_are_found(tmp_path: Path):
    """As after an edit of the backbone's code: key and digest fit, the outputs do not."""
    run = _start(tmp_path / "run")
    said: list[str] = []
    arrays = _arrays(run, said)
    path = next(path for path in _files(run) if path.parent.name.startswith("train-image"))
    before = tables._digest(path)
    np.save(path, np.array(arrays.tables["image_frozen_0"]) + 1.0)
    done = path.parent / "done.json"
    done.write_text(done.read_text().replace(before, tables._digest(path)))
    again = _arrays(run, said)
    assert "differs from what the model computes now; it is computed again" in "\n".join(said)
    assert tables._digest(path) == before
    assert again.tables["image_frozen_0"].shape == arrays.tables["image_frozen_0"].shape


def test_a_killed_computation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = _start(tmp_path / "run")
    said: list[str] = []
    monkeypatch.setattr(tables, "BATCH", 8)
    monkeypatch.setattr(tables, "_SAVE_SECONDS", 0.0)
    whole = {name: np.array(table) for name, table in _arrays(run, said).tables.items()}
    for path in _files(run):
        (path.parent / "done.json").unlink()
        path.unlink()
        path.parent.rmdir()
    batches, left = tables._batches, [3]

    def killed(*given: Any) -> Any:
        for values in batches(*given):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            yield values

    with monkeypatch.context() as patch:
        patch.setattr(tables, "_batches", killed)
        with pytest.raises(KeyboardInterrupt):
            _arrays(run, said)
    assert not _files(run) or all(path.parent.suffix == ".partial" for path in _files(run))
    again = _arrays(run, said)
    assert "24 of them before an interruption" in "\n".join(said)
    for name, table in again.tables.items():
        np.testing.assert_array_equal(table, whole[name])
