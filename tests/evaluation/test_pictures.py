import io

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.errors import DataError
from mmkeras.evaluation import pictures
from mmkeras.evaluation.calibration import calibration
from mmkeras.evaluation.classes import confusion
from mmkeras.evaluation.pictures.attention import attention_heat
from tests.evaluation.problems import LABELS, known, numbers, numbers_task, probabilities, several, several_task, task

ONES = np.ones(300, np.float32)
INTERVAL = {"value": 0.9, "low": 0.88, "high": 0.92, "method": "bootstrap"}
NOTHING = {"value": None, "low": None, "high": None, "method": "bootstrap"}
ENTRY = {"metrics": {"accuracy": INTERVAL}}
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)


def classified():
    targets, outputs = probabilities(300, 4)
    return task(), task().evidence(targets, {"probabilities": outputs})


def labelled():
    targets, outputs = several()
    return several_task(), several_task().evidence(targets, {"probabilities": outputs})


def measured():
    targets, value = numbers()
    return numbers_task(), numbers_task().evidence(targets, {"value": value})


def calibrated(problem):
    spec, evidence = problem
    return known(calibration(spec, evidence, ONES))


def card(**changes):
    given = {"images": (IMAGE,), "captions": ("what costs $5 and $6?",), "truth": "a", "prediction": "b (97 %)"}
    return pictures.Card(**{**given, "right": False, **changes})


FIGURES = {
    "confusion": lambda: pictures.confusion_figure(known(confusion(*classified()))),
    "confusion of many classes": lambda: pictures.confusion_figure(
        {"labels": [f"class {i}" for i in range(70)], "matrix": np.eye(70, dtype=int).tolist()}
    ),
    "confusion without samples": lambda: pictures.confusion_figure({"labels": ["a", "b"], "matrix": [[0, 0], [0, 0]]}),
    "labels": lambda: pictures.confusion_figure(known(confusion(*labelled()))),
    "reliability": lambda: pictures.calibration_figure(calibrated(classified())),
    "reliability per label": lambda: pictures.calibration_figure(calibrated(labelled())),
    "residuals": lambda: pictures.calibration_figure(calibrated(measured())),
    "ablation": lambda: pictures.ablation_figure(
        {"removed": dict.fromkeys("abc", ENTRY), "alone": dict.fromkeys("abc", ENTRY), "baseline": ENTRY},
        INTERVAL,
        "accuracy",
    ),
    "ablation without values": lambda: pictures.ablation_figure(
        {"removed": {"a": {"metrics": {"mae": NOTHING}}}}, {**INTERVAL, "value": 3.0}, "mae"
    ),
    "slices": lambda: pictures.slices_figure(
        {
            "colour": {
                label: {"accuracy": INTERVAL, "samples": 9, "few": i == 0, "worse": i == 1}
                for i, label in enumerate(LABELS)
            },
            "empty": {"x": {"accuracy": NOTHING, "samples": 1, "few": True, "worse": False}},
        },
        INTERVAL,
        "accuracy",
    ),
    "samples": lambda: pictures.samples_figure([card(), card(right=True), card(right=None)] * 3, "Samples"),
    "samples of text": lambda: pictures.samples_figure([card(images=(), captions=("三角 " * 40,))], "Text"),
    "samples of two pictures": lambda: pictures.samples_figure(
        [card(images=(IMAGE, IMAGE[:20])), card(images=())], "Two"
    ),
    "attention": lambda: pictures.attention_figure(IMAGE, np.ones((4, 3, 13)) / 13, (3, 4), question="what $is$ it?"),
    "attention of one head": lambda: pictures.attention_figure(IMAGE, np.zeros((1, 1, 4)), (2, 2)),
    "attention of eight heads": lambda: pictures.attention_figure(
        IMAGE, np.ones((8, 1, 4)) / 4, (2, 2), note="Answer: a."
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_becomes_png_and_array(name):
    figure = FIGURES[name]()
    array = pictures.figure_to_array(figure)
    assert array.dtype == np.uint8
    assert array.shape[2] == 3
    assert array.std() > 1, "an empty picture"
    with Image.open(io.BytesIO(pictures.figure_to_png(figure))) as image:
        assert (image.height, image.width) == array.shape[:2]


def test_figures_leave_no_global_state():
    import matplotlib

    before = dict(matplotlib.rcParams)
    pictures.figure_to_png(FIGURES["confusion"]())
    assert dict(matplotlib.rcParams) == before


def test_attention_lies_where_the_token_is():
    scores = np.zeros((2, 5, 13))
    scores[:, 3, 6] = 1.0  # row 1, column 2 of 3 x 4
    heat, heads = attention_heat(scores, (3, 4), (30, 40), query=3)
    assert heat.shape == (30, 40)
    assert heads.shape == (2, 3, 4)
    assert heads[:, 1, 2].tolist() == [1, 1]
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 10 <= row < 20
    assert 20 <= column < 30
    assert heat[:, :10].max() == 0


@pytest.mark.parametrize(("shape", "query"), [((2, 5, 11), 0), ((2, 5, 12), 5), ((5, 12), 0)])
def test_attention_that_does_not_fit_is_an_error(shape, query):
    with pytest.raises(DataError, match="Pass the grid"):
        attention_heat(np.zeros(shape), (3, 4), (30, 40), query)
