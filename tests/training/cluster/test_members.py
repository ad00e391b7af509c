from __future__ import annotations

import json
from typing import Any

import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.training.cluster.members import PORT, find_members
from tests.training.cluster.test_slurm import STEP


def _tf_config(cluster: Any, kind: str = "worker", index: int = 0) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_no_cluster_is_none():
    assert find_members({}) is None
    assert find_members({"TF_CONFIG": " "}) is None
    assert find_members({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) is None  # the batch script itself, not a step
    assert find_members({"SLURM_STEP_NUM_TASKS": "1"}) is None
    assert find_members(_tf_config({"worker": ["a:1"]})) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"cluster": null, "task": null}',
        '{"cluster": {}, "task": {"type": "master", "index": 0}, "environment": "cloud"}',
        '{"cluster": {"worker": [], "ps": []}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_tf_config_without_workers_is_one_machine_or_leaves_it_to_the_next_variable(text):
    assert find_members({"TF_CONFIG": text, "MMKERAS_HOSTS": "", "MMKERAS_WORKERS": ""}) is None
    members = find_members({"TF_CONFIG": text, "MMKERAS_HOSTS": "a:1,b:1", "MMKERAS_RANK": "1"})
    assert members is not None
    assert (members.origin, members.rank) == ("MMKERAS_HOSTS", 1)


def test_tf_config_of_workers():
    members = find_members(_tf_config({"worker": ["a:1", "b:2"]}, index=1))
    assert members is not None
    assert (members.hosts, members.rank, members.origin) == (("a:1", "b:2"), 1, "TF_CONFIG")


@pytest.mark.parametrize("first", ["chief", "master"])
def test_tf_config_of_kubeflow_has_a_chief(first):
    cluster = {first: ["c:1"], "worker": ["a:1", "b:2"]}
    for (kind, index), rank in {(first, 0): 0, ("worker", 0): 1, ("worker", 1): 2}.items():
        members = find_members(_tf_config(cluster, kind, index))
        assert members is not None
        assert (members.hosts, members.rank) == (("c:1", "a:1", "b:2"), rank)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG: expected"),
        ({"TF_CONFIG": "[1]"}, "TF_CONFIG: expected"),
        ({"TF_CONFIG": '{"cluster": 3}'}, "TF_CONFIG: expected"),
        ({"TF_CONFIG": "null"}, "TF_CONFIG: expected"),
        (_tf_config({"worker": "a:1"}), "expected a list of addresses, got 'a:1'"),
        (_tf_config({"evaluator": ["a:1"]}), "this task is a 'worker', the cluster has"),
        (_tf_config({"worker": ["a:1", "b:2"], "ps": ["p:1"]}), r"the jobs \['ps'\] are not supported"),
        (_tf_config({"worker": ["a:1", "b:2"]}, "evaluator"), "this task is a 'evaluator'"),
        (_tf_config({"worker": ["a:1", "b:2"]}, index=2), "worker number 2, but the cluster has 2"),
        (_tf_config({"worker": ["a", "b:2"]}), "expected host:port, got 'a'"),
        (_tf_config({"worker": ["a:1", "a:1"]}), "occur twice"),
        ({"MMKERAS_WORKERS": "2"}, "MMKERAS_HOSTS is not set"),
        ({"MMKERAS_HOSTS": "a,b"}, "MMKERAS_RANK or JOB_COMPLETION_INDEX is not set"),
        ({"MMKERAS_HOSTS": "a,b", "MMKERAS_RANK": "x"}, "expected whole numbers"),
        ({"MMKERAS_HOSTS": "a,b", "MMKERAS_RANK": "2"}, "worker number 2 of 2"),
        ({"MMKERAS_HOSTS": "a-{index}", "MMKERAS_RANK": "0"}, "set MMKERAS_WORKERS to the number"),
        (
            {"MMKERAS_HOSTS": "a,b", "MMKERAS_WORKERS": "3", "MMKERAS_RANK": "0"},
            "MMKERAS_WORKERS is 3, MMKERAS_HOSTS names 2",
        ),
    ],
)
def test_half_a_cluster_is_refused(environment, message):
    with pytest.raises(ConfigError, match=message):
        find_members(environment)


def test_an_indexed_job_of_kubernetes():
    environment = {"MMKERAS_WORKERS": "3", "MMKERAS_HOSTS": "train-{index}.train", "JOB_COMPLETION_INDEX": "2"}
    members = find_members(environment)
    assert members is not None
    assert members.hosts == tuple(f"train-{n}.train:{PORT}" for n in range(3))
    assert members.rank == 2
    named = find_members({**environment, "MMKERAS_HOSTS": "train-{index}.train:99"}, port=7)
    assert named is not None
    assert named.hosts[0] == "train-0.train:99"


def test_a_slurm_step_has_a_port_for_every_task():
    members = find_members({**STEP, "SLURM_STEP_NUM_TASKS": "3"})
    assert members is not None
    base = PORT + 16 * (4711 % 2048)
    assert members.hosts == (f"gpu01:{base}", f"gpu01:{base + 1}", f"gpu02:{base}")
    assert (members.rank, members.local_rank, members.local_count) == (2, 0, 1)
    second = find_members({**STEP, "SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "1"}, port=1000)
    assert second is not None
    assert second.hosts[1] == "gpu01:1001"
    assert (second.local_rank, second.local_count) == (1, 2)
