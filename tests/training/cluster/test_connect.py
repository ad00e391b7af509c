from __future__ import annotations

import json

import pytest

from mmkeras.core.config import ClusterConfig
from mmkeras.core.errors import ConfigError
from mmkeras.training.cluster.connect import ALONE, Cluster, connect
from mmkeras.training.cluster.members import Members

TWO = {"TF_CONFIG": json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}})}


def test_one_machine_without_a_gpu_is_one_device():
    assert connect(ClusterConfig(), {}) is ALONE
    assert connect(ClusterConfig(strategy="one_device"), {}) is ALONE
    assert ALONE.chief
    assert (ALONE.workers, ALONE.replicas, ALONE.replicas_here, ALONE.rank) == (1, 1, 1, 0)
    assert ALONE.from_chief("anything", "said") == "said"
    ALONE.barrier("anything")


@pytest.mark.parametrize(
    ("config", "environment", "message"),
    [
        (ClusterConfig(strategy="one_device"), TWO, "TF_CONFIG describes 2 workers; use auto"),
        (ClusterConfig(strategy="multi_worker"), {}, "Use --cluster.workers N"),
        (ClusterConfig(devices=2), TWO, "in a cluster each worker has one CPU device"),
        (ClusterConfig(devices=0), {}, "cluster.devices: expected 1 or more, got 0"),
        (ClusterConfig(workers=-1), {}, "cluster.workers: expected 1 or more, got -1"),
        (ClusterConfig(heartbeat_seconds=0), TWO, "cluster.heartbeat_seconds: expected 1 or more, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(config, environment, message):
    with pytest.raises(ConfigError, match=message):
        connect(config, environment)


def test_a_worker_says_what_it_waits_for_before_it_waits(monkeypatch, capsys):
    from tensorflow.python.eager import context

    said: list[str] = []

    def wait_at_barrier(name: str, timeout: int) -> None:
        said.append(capsys.readouterr().err)

    monkeypatch.setattr(context.context(), "wait_at_barrier", wait_at_barrier)
    Cluster(members=Members(("a:1", "b:1"), 1, "TF_CONFIG")).barrier("data")
    assert said == ["Worker 1 of 2 waits for the others: data.\n"]
