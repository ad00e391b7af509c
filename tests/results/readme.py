"""The tables of the README files that are made from docs/results.json, in English and Chinese.

Each stands between two markers, ``<!-- results:NAME:begin -->`` and ``<!-- results:NAME:end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmkeras.core.errors import ConfigError
from pipelines._stages.numbers import NUMBERS
from pipelines._stages.results import RESULTS, Result
from tests.results.shown import NOT_MEASURED, interval, markdown_table, size

__all__ = ["MARKED", "PIPELINES", "READMES", "PipelineRow", "with_blocks"]

READMES = {language: RESULTS.parents[1] / name for language, name in (("en", "README.md"), ("zh", "README.zh.md"))}
"""The files in the checkout by their language."""
MARKED = re.compile(r"<!-- results:(\w+):begin -->\n.*?<!-- results:\1:end -->", re.DOTALL)
"""A table with its markers."""
Words = tuple[str, str]
"""The same in English and Chinese."""


@dataclass(frozen=True)
class PipelineRow:
    """A pipeline in README's table."""

    command: str
    """What runs it."""
    data: Words
    """Its data and inputs."""
    figure: str
    """Name of its number in docs/results.json."""
    measured: Words
    """What that number is."""
    published: Words
    """A published number to compare with, and whose it is."""
    files: str = ""
    """``<files>.minutes`` is the number that holds its exported files; empty if they are not recorded."""
    gain: str = ""
    """Name of the number that is the gain of the fusion, shown once it is measured."""


_NONE: Words = ("none", "无")
_GAIN: Words = ("fusion against the better input alone", "融合相对于较好的单一输入")
PIPELINES: dict[str, PipelineRow] = {
    "vqa": PipelineRow(
        "make demo",
        ("easy-VQA, official split: image and question", "easy-VQA 官方划分：图像和问题"),
        "vqa.accuracy",
        ("accuracy", "准确率"),
        (
            "93.78 % after 8 epochs, 99.5 % with a larger model on twice the data ([easy-VQA-keras]"
            "(https://github.com/vzhou842/easy-VQA-keras))",
            "训练 8 轮 93.78 %；更大的模型加两倍数据 99.5 %（[easy-VQA-keras](https://github.com/vzhou842/easy-VQA-keras)）",
        ),
        "vqa",
    ),
    "camera_radar": PipelineRow(
        "python -m pipelines.camera_radar",
        ("simulated drives: camera and radars", "仿真行驶数据：摄像头和毫米波雷达"),
        "camera_radar.fusion_gain",
        ("mAP of the fusion, minus that of the better sensor", "融合的 mAP 减去较好的单个传感器的 mAP"),
        ("none: the drives are simulated", "无：数据为仿真"),
        "camera_radar",
    ),
    "finance": PipelineRow(
        "python -m pipelines.finance",
        (
            "StockNet: prices and tweets of 88 stocks, walking forward",
            "StockNet：88 只股票的价格和推文，按时间滚动评估",
        ),
        "finance.mcc",
        ("MCC of rise or fall of the next day", "预测次日涨跌的 MCC"),
        (
            "0.081 on a quarter that is not in the data here ([StockNet](https://aclanthology.org/P18-1183/))",
            "0.081（[StockNet](https://aclanthology.org/P18-1183/)，其测试季度不在这里的数据中）",
        ),
        "finance",
        "finance.fusion_gain",
    ),
    "traffic_signs": PipelineRow(
        "python -m pipelines.traffic_signs",
        ("traffic signs of GTSRB, split by track: image", "GTSRB 交通标志，按跟踪序列划分：图像"),
        "traffic_signs.accuracy",
        ("accuracy", "准确率"),
        (
            "human 98.84 %, committee of networks 99.46 %, on the official split ([Stallkamp et al. 2012]"
            "(https://doi.org/10.1016/j.neunet.2012.02.016))",
            "官方划分：人类 98.84 %，网络组合 99.46 %（[Stallkamp 等 2012](https://doi.org/10.1016/j.neunet.2012.02.016)）",
        ),
        "traffic_signs",
    ),
    "daquar": PipelineRow(
        "python -m pipelines.vqa --config pipelines/configs/vqa_daquar.toml",
        ("DAQUAR: photo of a room and question", "DAQUAR：室内照片和问题"),
        "daquar.accuracy",
        ("accuracy on all questions", "全部问题的准确率"),
        (
            "8.5 to 26.1 % for nine pairs of pretrained transformers ([VQA-With-Multimodal-Transformers]"
            "(https://github.com/tezansahu/VQA-With-Multimodal-Transformers))",
            "九组预训练 Transformer 组合为 8.5 % 至 26.1 %（[VQA-With-Multimodal-Transformers]"
            "(https://github.com/tezansahu/VQA-With-Multimodal-Transformers)）",
        ),
        "daquar",
        "daquar.fusion_gain",
    ),
    "vqa_rad": PipelineRow(
        "python -m pipelines.vqa --config pipelines/configs/vqa_rad.toml",
        ("VQA-RAD, closed questions, split by image", "VQA-RAD 封闭式问题，按图像划分"),
        "vqa_rad.closed",
        ("accuracy", "准确率"),
        (
            "75.1 % on the official split, which shares its images ([Nguyen et al. 2019](https://arxiv.org/abs/1909.11867))",
            "官方划分（训练与测试共用图像）75.1 %（[Nguyen 等 2019](https://arxiv.org/abs/1909.11867)）",
        ),
        "vqa_rad",
        "vqa_rad.fusion_gain",
    ),
    "medical": PipelineRow(
        "python -m pipelines.medical",
        (
            "MedPix 2.0: CT or MR picture, history, age and sex",
            "MedPix 2.0：CT 或 MR 图像、病史、年龄和性别",
        ),
        "medical.location",
        ("part of the body: accuracy", "身体部位：准确率"),
        _NONE,
        "medical",
        "medical.fusion_gain",
    ),
    "video_text": PipelineRow(
        "python -m pipelines.video_text",
        ("simulated clips and statements: is it true?", "仿真视频片段和陈述：陈述是否属实？"),
        "video_text.statements",
        ("accuracy", "准确率"),
        ("none: the clips are simulated", "无：视频为仿真"),
        "video_text",
    ),
    "segmentation": PipelineRow(
        "python -m pipelines.segmentation",
        ("CamVid, 11 classes, 240 x 180: a class for every pixel", "CamVid，11 类，240 x 180：逐像素分类"),
        "segmentation.miou",
        ("mean IoU on the official val", "官方验证集的平均 IoU"),
        (
            "51.3 % (ENet), 55.6 to 60.1 % (SegNet), on the official test of 480 x 360 ([Paszke et al. 2016]"
            "(https://arxiv.org/abs/1606.02147))",
            "官方测试集 480 x 360：ENet 51.3 %，SegNet 55.6 至 60.1 %（[Paszke 等 2016](https://arxiv.org/abs/1606.02147)）",
        ),
        "segmentation",
    ),
    "segmentation_prompted": PipelineRow(
        "python -m pipelines.segmentation --config pipelines/configs/segmentation_prompted.toml",
        ("CamVid: the mask of what a text names", "CamVid：文本所指物体的掩膜"),
        "segmentation.prompted",
        ("mean IoU over the classes that are named and there", "文本所指且存在的类别的平均 IoU"),
        _NONE,
        "segmentation_prompted",
    ),
    "documents": PipelineRow(
        "python -m pipelines.documents",
        ("FUNSD-r: picture, words and boxes of forms", "FUNSD-r：表单的图像、文字和位置框"),
        "documents.funsd_r",
        ("F1 of entities", "实体 F1"),
        (
            "BERT-base 60.3 %, LayoutLM-base 78.7 % on FUNSD's own segments and split ([Xu et al. 2020]"
            "(https://arxiv.org/abs/1912.13318))",
            "FUNSD 原始分段和划分：BERT-base 60.3 %，LayoutLM-base 78.7 %（[Xu 等 2020]"
            "(https://arxiv.org/abs/1912.13318)）",
        ),
        "documents.funsd_r",
    ),
    "documents_cord": PipelineRow(
        "python -m pipelines.documents --config pipelines/configs/documents_cord.toml",
        ("CORD-r: words and boxes of receipts, without pictures", "CORD-r：收据的文字和位置框，无图像"),
        "documents.cord_r",
        ("F1 of entities", "实体 F1"),
        _NONE,
        "documents.cord_r",
    ),
    "documents_sroie": PipelineRow(
        "python -m pipelines.documents --config pipelines/configs/documents_sroie.toml",
        ("SROIE: words and boxes of 82 receipts", "SROIE：82 张收据的文字和位置框"),
        "documents.sroie",
        ("F1 of the key fields", "关键字段 F1"),
        (
            "75.58 % (character Bi-LSTM), 96.0 % (LayoutLM) on the official split ([Xu et al. 2020]"
            "(https://arxiv.org/abs/1912.13318))",
            "官方划分：字符 Bi-LSTM 75.58 %，LayoutLM 96.0 %（[Xu 等 2020](https://arxiv.org/abs/1912.13318)）",
        ),
        "documents.sroie",
    ),
    "matching": PipelineRow(
        "python -m pipelines.matching",
        ("Flickr8k, official dev split: photos and captions", "Flickr8k 官方 dev 划分：照片和描述"),
        "matching.flickr8k.t2i_r1",
        ("the photo of a caption, recall at 1", "按描述检索照片，recall@1"),
        ("51.1 % of CLIP B/32 without training on it, on the test split", "CLIP B/32 零样本在测试划分上 51.1 %"),
        "matching",
    ),
    "table": PipelineRow(
        "mmkeras fit TABLE --target COLUMN",
        ("your own table, see Your own data", "您自己的表格"),
        "fit.kinds",
        ("columns whose kind and role are inferred correctly", "类型和用途推断正确的列"),
        _NONE,
    ),
}
"""README's pipelines by name."""

_PROOF: dict[str, Words] = {
    "mutants.int8.caught": (
        "planted faults that the gate or the self-test finds, static int8",
        "人为植入的故障中被导出检查或自检发现的比例，静态 int8",
    ),
    "mutants.other.caught": ("the same, all other precisions", "同上，其他所有精度"),
    "mutants.honest_refused": ("correct exports that are refused by chance", "被误拒的正确导出"),
    "camera_radar.radar_dead": (
        "mAP with a dead radar, minus that of a model with the camera alone",
        "雷达失效时的 mAP 减去只用摄像头的模型的 mAP",
    ),
    "threads.wrong": ("wrong answers of one Predictor under 8 threads", "8 个线程共用一个 Predictor 时的错误答案"),
    "fuzz.failures": ("crashes and unexpected errors on 50,000 damaged files", "50,000 个损坏文件引起的崩溃和意外错误"),
    "faults.identical": (
        "kills after which the same command gives identical results",
        "进程被强制终止后，重新运行得到相同结果的比例",
    ),
    "cluster.weights": (
        "largest relative difference of weights, several workers against one",
        "多个进程与单个进程训练所得权重的最大相对差",
    ),
    "bench.predict": (
        "time of `mmkeras predict` / preprocessing and interpreter alone",
        "`mmkeras predict` 的耗时与单独的预处理加推理之比",
    ),
}


def with_blocks(text: str, results: Mapping[str, Result], language: str = "en") -> str:
    """Return a README's text with every table between its markers made anew.

    Raises:
        ConfigError: a table's markers are missing, stand there twice or name no table.
    """
    found = sorted(match[1] for match in MARKED.finditer(text))
    if found != sorted(_BLOCKS) or text.count("<!-- results:") != 2 * len(_BLOCKS):
        wanted = ", ".join(f"<!-- results:{name}:begin --> and <!-- results:{name}:end -->" for name in _BLOCKS)
        raise ConfigError(f"{READMES[language].name}: expected once each, in pairs: {wanted}. Restore them from git")

    def made(match: re.Match[str]) -> str:
        table = _BLOCKS[match[1]](results, ("en", "zh").index(language))
        if language == "zh":
            table = table.replace(NOT_MEASURED, "尚未测量")
        return f"<!-- results:{match[1]}:begin -->\n{table}\n<!-- results:{match[1]}:end -->"

    return MARKED.sub(made, text)


def _pipelines(results: Mapping[str, Result], at: int) -> str:
    headings = (
        ("pipeline", "data", "measured (95 % interval)", "published", "exported files"),
        ("流程", "数据", "测量值（95 % 区间）", "公开结果", "导出文件"),
    )[at]
    rows = []
    for row in PIPELINES.values():
        measured = f"{row.measured[at]}: {interval(row.figure, results)}"
        if row.gain in results:
            measured += f"; {_GAIN[at]}: {interval(row.gain, results)}"
        rows.append((f"`{row.command}`", row.data[at], measured, row.published[at], _sizes(row, results, at)))
    return markdown_table(headings, rows)


def _sizes(row: PipelineRow, results: Mapping[str, Result], at: int) -> str:
    if not row.files:
        return ("depends on the model", "取决于模型")[at]
    files = {
        label: size(row.files, format, precision, results)
        for label, format, precision in (
            ("LiteRT", "tflite", "float32"),
            ("LiteRT int8", "tflite", "int8"),
            ("ONNX", "onnx", "float32"),
        )
    }
    if set(files.values()) == {NOT_MEASURED}:
        return NOT_MEASURED
    return ", ".join(f"{label} {said}" for label, said in files.items())


def _proof(results: Mapping[str, Result], at: int) -> str:
    headings = (("what", "result (95 % interval)", "command"), ("内容", "结果（95 % 区间）", "命令"))[at]
    rows = []
    for name, said in _PROOF.items():
        result = results.get(name)
        command = result.command if result else NUMBERS[name].command
        rows.append((said[at], interval(name, results), f"`{command}`"))
    return markdown_table(headings, rows)


_BLOCKS: dict[str, Callable[[Mapping[str, Result], int], str]] = {"pipelines": _pipelines, "proof": _proof}
