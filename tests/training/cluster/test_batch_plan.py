from __future__ import annotations

import dataclasses

import pytest

from mmkeras.core.config import ClusterConfig, RunConfig, TrainConfig
from mmkeras.core.errors import ConfigError
from mmkeras.training.cluster.batch_plan import plan_batch
from mmkeras.training.cluster.connect import ALONE, Cluster


@dataclasses.dataclass(frozen=True)
class Replicas(Cluster):
    """So many devices, without a strategy."""

    count: int = 1

    @property
    def replicas(self) -> int:
        return self.count

    @property
    def kind(self) -> str:
        return f"{self.count} devices"


def _config(batch: str = "global", scale: str = "none", **train) -> RunConfig:
    cluster = ClusterConfig(batch=batch, scale_learning_rate=scale)  # type: ignore[arg-type]
    return RunConfig(cluster=cluster, train=TrainConfig(batch_size=64, learning_rate=1e-3, **train))


def test_one_device():
    plan = plan_batch(_config(), ALONE)
    assert plan.explain() == "one device: batch 64, learning rate up to 0.001"
    assert plan.train(TrainConfig()).batch_size == 64


def test_a_global_batch_is_shared():
    plan = plan_batch(_config(), Replicas(count=4))
    assert (plan.batch, plan.per_replica, plan.learning_rate) == (64, 16, 1e-3)
    assert plan.explain() == "4 devices: batch 64 = 4 x 16, learning rate up to 0.001"


@pytest.mark.parametrize(("scale", "rate"), [("none", 1e-3), ("linear", 4e-3), ("sqrt", 2e-3)])
def test_a_batch_per_replica_grows(scale, rate):
    plan = plan_batch(_config("per_replica", scale, accumulate=3), Replicas(count=4))
    assert (plan.batch, plan.per_replica) == (256, 64)
    assert plan.learning_rate == pytest.approx(rate)
    assert "3 batches = 768 samples per update" in plan.explain()
    assert ("train.learning_rate 0.001 scaled" in plan.explain()) == (scale != "none")


@pytest.mark.parametrize(
    ("config", "replicas", "message"),
    [
        (_config(), 3, "64 samples cannot be divided evenly between 3 devices; use 63 or 66"),
        (_config(), 100, "cannot be divided evenly between 100 devices; use 100,"),
        (_config("global", "linear"), 2, "there is nothing to scale"),
        (_config(accumulate=0), 1, "train.accumulate: expected 1 or more"),
    ],
)
def test_what_cannot_be_shared_is_refused(config, replicas, message):
    with pytest.raises(ConfigError, match=message):
        plan_batch(config, Replicas(count=replicas))
