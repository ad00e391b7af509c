"""Converted data: the index, the TFRecord shards, what an interrupted conversion leaves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.data.convert import convert
from mmkeras.data.index import Index
from mmkeras.data.shards import ShardReport, ShardWork, finished
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.image.spec import Spec as ImageSpec
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.modalities.text.spec import Spec as TextSpec
from mmkeras.storage.files import write_json, write_text
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.fuzz.reader import Reader

__all__ = ["READERS"]

_MODALITIES = {"image": ImageConfig(size=(8, 8)), "text": TextConfig()}
_SPECS = {
    "image": ImageSpec("image", 8, 8, "stretch"),
    "text": TextSpec("text", 6, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "what")),
}


def _write(folder: Path) -> None:
    import shutil
    import tempfile

    from PIL import Image

    with tempfile.TemporaryDirectory(prefix="mmkeras-fuzz-") as place:
        rows = ["picture,question,answer,side"]
        for row in range(9):
            Image.new("RGB", (6, 5), (25 * row, 9, 200)).save(Path(place, f"{row}.png"))
            rows.append(f"{row}.png,what {row}?,{('no', 'yes')[row % 2]},{('train', 'validation', 'test')[row % 3]}")
        write_text(Path(place, "rows.csv"), "\n".join(rows) + "\n")
        columns = {"image": "picture", "text": "question"}
        options = {"path": f"{place}/rows.csv", "columns": columns, "target": "answer", "split": "side"}
        config = DataConfig(source=Choice("table", options), folder=f"{place}/data", workers=1)
        made = convert(config, _MODALITIES, TaskConfig(labels=("no", "yes")))
        # Where it was made changes from run to run; that it is in the index does not matter here.
        text = (made.folder / "index.json").read_text("utf-8").replace(place, "place")
        shutil.copytree(made.folder, folder, dirs_exist_ok=True)
        write_text(folder / "index.json", text)


def _read(folder: Path) -> object:
    """Read it as a training, an evaluation and an export do."""
    from mmkeras.data.arrays import load_arrays
    from mmkeras.data.read import read_samples, read_targets
    from mmkeras.evaluation import samples
    from mmkeras.tasks import task_from_json

    index = Index.load(folder)
    task = task_from_json(index.task)
    read_samples(index, "train")
    list(read_targets(index, "validation"))
    load_arrays(index, "train", _SPECS, task)
    return samples.read(index, "test", _SPECS, task, batch_size=2)


def _salvage(folder: Path) -> object:
    """Take what is whole of damaged shards, as a training with a budget of bad records does."""
    from mmkeras.data.read import read_samples
    from mmkeras.data.salvage import usable

    index = usable(Index.load(folder), 2)
    return [read_samples(index, split) for split, content in index.splits.items() if content.samples]


def _write_report(folder: Path) -> None:
    work = ShardWork(folder, "train-00000.tfrecord", "train", [])
    (folder / work.file).write_bytes(bytes(16))
    write_json(work.report, asdict(ShardReport(work.file, 1, 16, {"yes": 1}, [])))


def _read_report(folder: Path) -> object:
    return finished(ShardWork(folder, "train-00000.tfrecord", "train", []))


READERS = (
    Reader("index", _write, Index.load, whole=True, share=2, left=("*.tfrecord", "*.csv")),
    Reader("tfrecord", _write, _read, whole=True, share=0.06, left=("*.csv", "index.json")),
    Reader("salvage", _write, _salvage, whole=True, share=0.06, left=("*.csv", "index.json")),
    Reader("shard_report", _write_report, _read_report, whole=True, left=("*.tfrecord",)),
)
