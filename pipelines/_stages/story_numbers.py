"""The numbers of the pipelines, and how long their runs take."""

from __future__ import annotations

from pipelines._stages.number import Number

__all__ = ["STORY_NUMBERS"]

_COMPARISON = "python -m pipelines.camera_radar --compare.seeds 0 1 2 --compare.once '[\"radar_as_channels\"]' --record"
_FINANCE = "python -m pipelines.finance --data.source.options.folder DIR --record"
_DOCUMENTS = {
    "funsd_r": "python -m pipelines.documents --data.source.options.folder funsd_r --record",
    "cord_r": "python -m pipelines.documents --config pipelines/configs/documents_cord.toml "
    "--data.source.options.folder cord_r --record",
    "sroie": "python -m pipelines.documents --config pipelines/configs/documents_sroie.toml "
    "--data.source.options.folder sroie --record",
}
_MEDICAL = "python -m pipelines.medical --data.source.options.folder medpix2 --record"
_SIGNS = "python -m pipelines.traffic_signs --data.source.options.folder FOLDER --record"
_SEGMENTATION = "python -m pipelines.segmentation --data.source.options.folder DIR --record"
_PROMPTED = (
    "python -m pipelines.segmentation --config pipelines/configs/segmentation_prompted.toml "
    "--data.source.options.folder DIR --record"
)
_STATEMENTS = 'python -m pipelines.video_text --alone.modalities \'["video", "text", "one_frame"]\' --record'
_DAQUAR, _VQA_RAD = (
    f"python -m pipelines.vqa --config pipelines/configs/{name}.toml --data.source.options.folder FOLDER --record"
    for name in ("vqa_daquar", "vqa_rad")
)
_MATCHING = "python -m pipelines.matching --data.source.options.folder flickr8k --record"
_EMOJI, _PAIRS, _MMD = (
    f"python -m pipelines.matching --config pipelines/configs/matching_{name}.toml --data.source.options.folder "
    f"{folder} --record"
    for name, folder in (("emoji", "emoji"), ("pairs", "flickr8k"), ("mmd", "flickr8k"))
)

_TIMED: dict[str, tuple[str, float | None, float | None, str]] = {
    "vqa": ("easy-VQA", None, None, "python -m pipelines.vqa --record"),
    "daquar": ("DAQUAR", 15, 8, _DAQUAR),
    "vqa_rad": ("VQA-RAD", 15, 8, _VQA_RAD),
    "traffic_signs": ("GTSRB", 15, 8, _SIGNS),
    "medical": ("MedPix 2.0", 15, 8, _MEDICAL),
    "finance": ("StockNet", 15, 8, _FINANCE),
    "video_text": ("simulated clips with statements", 15, 8, _STATEMENTS),
    "segmentation": ("CamVid", 20, 10, _SEGMENTATION),
    "segmentation_prompted": ("CamVid with texts", 20, 10, _PROMPTED),
    "camera_radar": ("camera + radar, simulated", 15, 15, _COMPARISON),
    "matching": ("Flickr8k", 20, 10, _MATCHING),
    "matching.emoji.en": ("emoji, English names", 20, 10, _EMOJI),
    "matching.emoji.zh": ("emoji, Chinese names", 20, 10, f"{_EMOJI} --data.source.options.language zh"),
    "documents.funsd_r": ("FUNSD-r", 20, 10, _DOCUMENTS["funsd_r"]),
    "documents.cord_r": ("CORD-r", 20, 10, _DOCUMENTS["cord_r"]),
    "documents.sroie": ("SROIE, five folds", 20, 10, _DOCUMENTS["sroie"]),
}
"""Pipelines whose run is timed: data, bar and goal in minutes, command."""

STORY_NUMBERS: dict[str, Number] = {
    "vqa.accuracy": Number(
        "easy-VQA, official test split, 9,673 questions: accuracy", "%", "higher", 97, 99.5,
        "python -m pipelines.vqa --record",
    ),
    "daquar.accuracy": Number(
        "DAQUAR, questions about photos of rooms, test photos of their own: accuracy on all questions",
        "%", "higher", 24, 30, _DAQUAR,
    ),
    "daquar.fusion_gain": Number(
        "DAQUAR: accuracy of photo and question, minus that of the better one trained alone",
        "points", "higher", 0, 3, _DAQUAR,
    ),
    "vqa_rad.closed": Number(
        "VQA-RAD, closed questions on images of their own: accuracy", "%", "higher", 61, 70, _VQA_RAD
    ),
    "vqa_rad.fusion_gain": Number(
        "VQA-RAD, closed questions: accuracy of image and question, minus that of the better one trained alone",
        "points", "higher", 0, 3, _VQA_RAD,
    ),
    "traffic_signs.accuracy": Number(
        "GTSRB, 43 classes, tracks of their own: accuracy", "%", "higher", 97.5, 99.2, _SIGNS
    ),
    "medical.location": Number(
        "MedPix 2.0, part of the body from picture, history, age and sex, cases of their own: accuracy",
        "%", "higher", 87, 93, _MEDICAL,
    ),
    "medical.fusion_gain": Number(
        "MedPix 2.0, part of the body: accuracy of all modalities, minus that of the best modality alone; the whole "
        "interval must be above the bar", "points", "higher", 0, 0, _MEDICAL, whole=True,
    ),
    "finance.mcc": Number(
        "StockNet, prices and tweets, rise or fall of the next day: MCC over blocks of days, each answered by a model "
        "of its past; the whole interval must be above the bar", "MCC", "higher", 0.0, 0.08, _FINANCE, whole=True,
    ),
    "finance.fusion_gain": Number(
        "StockNet, August and September 2015: accuracy of prices and tweets, minus that of the better one alone",
        "points", "higher", None, None, _FINANCE,
    ),
    "video_text.statements": Number(
        "simulated clips, is a statement true of the clip: accuracy", "%", "higher", 85, 95, _STATEMENTS
    ),
    "video_text.fight": Number(
        "fight_video, a fight or none, five folds by source video: accuracy", "%", "higher", 78, 86,
        "python -m pipelines.video_text --config pipelines/configs/video_text_fight.toml --data.source.options.folder "
        "DIR --record",
    ),
    "video_text.fusion_gain": Number(
        "simulated clips with statements: accuracy, minus that of the text alone",
        "points", "higher", 30, 30, _STATEMENTS,
    ),
    "video_text.motion_gain": Number(
        "simulated clips with statements: accuracy, minus that with the frame in the middle alone",
        "points", "higher", 10, 10, _STATEMENTS,
    ),
    "segmentation.miou": Number(
        "CamVid, 11 classes, official val of 101 frames, 240 x 180 pixels: mean IoU", "%", "higher", 52, 64,
        _SEGMENTATION,
    ),
    "segmentation.int8_drop": Number(
        "CamVid, static int8 LiteRT file: mean IoU lost against the Keras model", "points", "lower", 0.5, 0.1,
        _SEGMENTATION,
    ),
    "segmentation.int8_size": Number(
        "CamVid, LiteRT: size of the float32 file / size of the static int8 file", "x", "higher", 3.7, 3.9,
        _SEGMENTATION,
    ),
    "segmentation.int8_latency": Number(
        "CamVid, LiteRT, one thread: latency of the float32 file / latency of the static int8 file",
        "x", "higher", 1.7, 2.5, _SEGMENTATION,
    ),
    "segmentation.prompted": Number(
        "CamVid, official val, the mask of what a text names: mean IoU over the classes that are named and there",
        "%", "higher", 45, 58, _PROMPTED,
    ),
    "segmentation.false_alarms": Number(
        "CamVid, official val, texts that name nothing that is there: answered by a mask that is not empty",
        "%", "lower", 5, 1, _PROMPTED,
    ),
    "documents.funsd_r": Number(
        "FUNSD-r, questions, answers and headers on forms of their own: F1 of entities", "%", "higher", 60, 75,
        _DOCUMENTS["funsd_r"],
    ),
    "documents.cord_r": Number(
        "CORD-r, official test split, 29 kinds of entities of receipts without pictures: F1 of entities",
        "%", "higher", 88, 94, _DOCUMENTS["cord_r"],
    ),
    "documents.sroie": Number(
        "SROIE, company, date, address and total of 82 receipts as strings, five folds: F1 of fields",
        "%", "higher", 76, 88, _DOCUMENTS["sroie"],
    ),
    "camera_radar.fusion_gain": Number(
        "camera + radar, simulated: mAP of the fusion, minus that of the better single sensor",
        "points", "higher", 10, 20, _COMPARISON,
    ),
    "camera_radar.radar_dead": Number(
        "camera + radar, simulated: mAP of the fusion with the radar dead, minus that of the camera alone",
        "points", "higher", -2, 0, _COMPARISON,
    ),
    **{
        f"matching.flickr8k.{short}_r{k}": Number(
            f"Flickr8k, official dev split of 1,000 photos: {way}, recall at {k}", "%", "higher", bar, goal, _MATCHING
        )
        for short, way, limits in (
            ("t2i", "the photo of a caption", ((19, 28), (45, 56), (58, 70))),
            ("i2t", "a caption of a photo", ((23, 34), (48, 62), (61, 75))),
        )
        for k, (bar, goal) in zip((1, 5, 10), limits, strict=True)
    },
    "matching.emoji.en": Number(
        "emoji of a designer who was not seen: the picture of an English name, recall at 1",
        "%", "higher", 60, 90, _EMOJI,
    ),
    "matching.emoji.zh": Number(
        "emoji of a designer who was not seen: the picture of a Chinese name, recall at 1",
        "%", "higher", 50, 85, f"{_EMOJI} --data.source.options.language zh",
    ),
    "matching.rerank_gain": Number(
        "Flickr8k dev: recall at 1 of the photo of a caption, with the first 20 answers judged again as pairs, minus "
        "that without", "points", "higher", 1, 4, _PAIRS,
    ),
    "matching.mmd_gain": Number(
        "Flickr8k dev, a tenth of the pairs: mean recall with the discrepancy of the towers, minus that without, 3 "
        "seeds", "points", "higher", 0, 2, _MMD,
    ),
    "matching.search_ms": Number(
        "search among 100,000 vectors of 512 numbers drawn like those of a trained tower, one thread: median beyond "
        "the tower", "ms", "lower", 5, 1, "python -m tests.bench.search --record",
    ),
    **{
        f"{name}.minutes": Number(
            f"{data}: from data to verified exports, without models that are trained for comparison",
            "min", "lower", bar, goal, command,
        )
        for name, (data, bar, goal, command) in _TIMED.items()
    },
}  # fmt: skip
