"""Clips with statements, from a table of video files and folders to answers of the packed bundle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmkeras.bundle import Bundle
from mmkeras.modalities.video.spec import Spec
from mmkeras.runtime.frame_ring import FrameRing
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from tests.toys.chain import TEXT, Chain, command, reads_otherwise, run_chain
from tests.toys.tables import moving, write_clips

pytest.importorskip("av")

VIDEO = """
[data]
max_bad_share = 0.1
[model]
width = 16
[model.video]
kind = "video"
frames = 4
size = [32, 32]
width_factor = 0.25
depth_factor = 0.3
level = 3
cells = [1, 2]
heads = 2
"""
FROZEN = "frozen_stages = -1\n"
STATEMENT = "it moves to the left"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("clips")
    config = f"{VIDEO}{FROZEN}[model.text]{TEXT}"
    columns = {"video": "clip", "text": "statement"}
    return run_chain(folder, write_clips(folder), columns, config, ("saved_model", "tflite", "onnx"))


def test_every_file_is_accepted_in_every_scenario(chain: Chain):
    assert chain.report.accepted, [file.reason for file in chain.report.files]
    for file in chain.report.files:
        scenarios = {"without_video", "half_lost_video", "one_frozen_video", "dark_video"}
        assert scenarios <= set(file.scenarios)


def test_an_unreadable_clip_is_named_and_quarantined(chain: Chain):
    (quarantine,) = chain.folder.glob("data/*/quarantine.csv")
    (line,) = [line for line in quarantine.read_text("utf-8").splitlines() if "table.csv" in line]
    assert "table.csv:5" in line
    assert "3.mp4: cannot be opened as a video" in line


def test_the_features_of_frozen_frames_are_computed_once(chain: Chain):
    for split in ("train", "validation"):
        (folder,) = chain.folder.glob(f"data/*/frozen/{split}-video-*")
        features = np.load(folder / "video_frozen_0.npy")
        assert features.shape[1:] == (4, 2 * 2 * 16)
        assert np.load(folder / "video_frozen_1.npy").shape[1:] == (4,)


def test_contact_sheets_are_in_the_report(chain: Chain):
    assert (chain.run / "report.html").is_file()
    assert list((chain.run / "pictures").glob("*.png"))


def test_the_packed_bundle_proves_itself_and_answers(chain: Chain):
    with Bundle.open(chain.packed()) as bundle:
        assert selftest(bundle).passed
    frames = moving(True, 1)
    with Predictor(chain.packed()) as predictor:
        from_file = predictor.predict(video=chain.folder / "5.mp4", text=STATEMENT)
        assert predictor.predict(video=(chain.folder / "5.mp4").read_bytes(), text=STATEMENT) == from_file
        ring = FrameRing(predictor.bundle.specs["video"])
        for frame in frames:
            ring.add(frame)
        assert predictor.predict(video=ring.clip(), text=STATEMENT) == predictor.predict(
            video=frames[-4:], text=STATEMENT
        )
        assert np.isfinite(predictor.predict(video=chain.folder / "clip2")["confidence"])
    arguments = ("predict", chain.bundle(), "--text", STATEMENT, "--video")
    assert command(*arguments, chain.folder / "5.mp4")[0] == 0
    assert command(*arguments, chain.folder / "clip2")[0] == 0
    assert command(*arguments, chain.folder / "3.mp4")[0] == 1


def test_a_trained_backbone_alone_makes_a_model(tmp_path):
    chain = run_chain(tmp_path, write_clips(tmp_path, 24), {"video": "clip"}, VIDEO, ("tflite",))
    assert chain.report.accepted
    assert not list(chain.folder.glob("data/*/frozen/*"))


def _swapped(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["video"] = made["video"][..., ::-1].copy()


def _one_later(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["video"] = np.roll(made["video"], -1, axis=0)


def _always_new(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["video_fresh"][:] = 1


@pytest.mark.parametrize("fault", [_swapped, _one_later, _always_new])
def test_a_device_that_reads_clips_otherwise_fails_its_self_test(
    chain: Chain, fault: Callable[[Spec, dict[str, np.ndarray]], None]
):
    packed = chain.packed()
    with reads_otherwise(Spec, fault), Bundle.open(packed) as bundle:
        assert not selftest(bundle).passed
