from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from export.calibration import load_calibration
from export.calibration.__main__ import main


@pytest.fixture(autouse=True)
def opened(monkeypatch, source):
    """The tiny model in place of a run's."""
    monkeypatch.setattr("export.source.load_source", lambda path, samples: source)


def test_a_set_is_chosen_shown_written_and_taken_again(source, tmp_path, capsys):
    path = tmp_path / "set.npz"
    assert main(["run", "--calibration-samples", "40", "--save", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "40 samples of train, fingerprint" in shown
    assert "without_image 2" in shown
    assert "an export accepts these samples" in shown
    assert len(load_calibration(path, source.specs)) == 40
    assert main(["run", "--calibration", str(path)]) == 0
    assert "40 samples are few" in capsys.readouterr().out


def test_refusals_and_mistakes_have_a_status_of_their_own(source, tmp_path, capsys):
    path = tmp_path / "set.npz"
    assert main(["run", "--calibration-samples", "40", "--save", str(path)]) == 0
    arrays = dict(load_calibration(path, source.specs).inputs)
    arrays["image"] = np.random.default_rng(0).integers(0, 256, arrays["image"].shape).astype("uint8")
    np.savez(path, **arrays)  # type: ignore[arg-type]
    capsys.readouterr()
    assert main(["run", "--calibration", str(path)]) == 1
    assert "refused" in capsys.readouterr().out
    assert main(["run", "--calibration", str(tmp_path / "none.npz")]) == 2
    assert "DataError:" in capsys.readouterr().err
    assert main(["run", "--calibration", str(path), "--save", str(path)]) == 2
    assert main(["run", "--calibration-samples", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_a_submodel_is_audited_with_the_whole_models_file(source, tmp_path, monkeypatch):
    path = tmp_path / "set.npz"
    assert main(["run", "--calibration-samples", "40", "--save", str(path)]) == 0
    arrays = {**load_calibration(path, source.specs).inputs, "radar_present": np.ones(40, "float32")}
    np.savez(path, **arrays)  # type: ignore[arg-type]
    assert main(["run", "--calibration", str(path)]) == 2
    part = dataclasses.replace(source, held_to_itself=True)
    monkeypatch.setattr("export.source.load_source", lambda path, samples: part)
    assert main(["run", "--calibration", str(path)]) == 0
