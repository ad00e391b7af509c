"""What a user configures: TOML files, and the environment that names the workers of a cluster."""

from __future__ import annotations

import json
from pathlib import Path

from mmkeras.core.command_line import parse, read_toml
from mmkeras.driving.stream.faults import read_faults
from mmkeras.training.cluster.members import find_members
from pipelines.vqa import VqaConfig
from tests.fuzz.reader import Reader

__all__ = ["READERS"]

_TABLE = """name = "mine"
[data.source]
name = "table"
options = { path = "t.csv", columns = { image = "picture", text = "question" }, target = "answer" }
[model.image]
size = [64, 64]
architecture = "edge"
[model.fusion]
name = "cross_attention"
options = { heads = 2, layers = 1 }
[model.left]
kind = "image"
[model.right]
kind = "image"
shares_weights_with = "left"
[train]
epochs = 3
learning_rate = 1e-3
early_stopping = 2
[export]
formats = ["tflite", "onnx"]
"""


def _write(folder: Path) -> None:
    configs = Path(__file__).resolve().parents[3] / "pipelines" / "configs"
    for name in ("vqa.toml", "vqa_table.toml"):
        (folder / name).write_bytes((configs / name).read_bytes())
    (folder / "mine.toml").write_text(_TABLE)


def _read(path: Path) -> object:
    return parse(VqaConfig, ["--config", str(path)], program="fuzz", description="")


def _write_cluster(folder: Path) -> None:
    cluster = {"cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]}, "task": {"type": "worker", "index": 1}}
    settings: dict[str, dict[str, str]] = {
        "tf_config": {"TF_CONFIG": json.dumps(cluster)},
        "hosts": {"MMKERAS_HOSTS": "a:1, b:2", "MMKERAS_RANK": "1", "MMKERAS_WORKERS": "2"},
        "indexed": {"MMKERAS_HOSTS": "train-{index}.train", "JOB_COMPLETION_INDEX": "0", "MMKERAS_WORKERS": "3"},
        "slurm": {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "SLURM_STEP_NODELIST": "n[1-2,07],gpu-3",
                  "SLURM_STEP_TASKS_PER_NODE": "1(x3),1", "SLURM_JOB_ID": "77", "SLURM_LOCALID": "0"},
    }  # fmt: skip
    for name, values in settings.items():
        (folder / f"{name}.txt").write_text("\n".join(f"{key}={value}" for key, value in values.items()))


def _read_cluster(path: Path) -> object:
    lines = path.read_text("utf-8", errors="surrogateescape").split("\n")
    return find_members({key: value for key, mark, value in (line.partition("=") for line in lines) if mark})


def _write_faults(folder: Path) -> None:
    lines = [
        "kill radar at 3 s # all",
        "delay camera 150 ms from 2 s to 5 s",
        "drop 50 % RADAR_FRONT",
        "jump clock -2 s at 3 s",
    ]
    (folder / "faults.txt").write_text("\n".join(lines))
    (folder / "faults.toml").write_text(f"faults = {json.dumps(lines)}\n")


READERS = (
    Reader("fault_script", _write_faults, read_faults, share=0.5),
    Reader("toml", _write, read_toml, share=1),
    Reader("config", _write, _read, share=0.08),
    Reader("cluster_environment", _write_cluster, _read_cluster),
)
