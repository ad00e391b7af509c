"""Joins the workers of a training, with barriers and shared values."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmkeras.core.config import ClusterConfig
from mmkeras.core.errors import ConfigError, TrainingError
from mmkeras.core.terminal import say
from mmkeras.training.cluster.launch import LAUNCHED
from mmkeras.training.cluster.members import Members, find_members
from mmkeras.training.cluster.peers import watched

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["ALONE", "Cluster", "connect"]

_DAY = 24 * 3600 * 1000


@dataclass(frozen=True)
class Cluster:
    """The devices that train one model."""

    strategy: tf.distribute.Strategy | None = None
    """None for one device."""
    members: Members | None = None

    @property
    def rank(self) -> int:
        """Number of this worker; 0 is the chief."""
        return self.members.rank if self.members else 0

    @property
    def workers(self) -> int:
        """Workers of the cluster."""
        return len(self.members.hosts) if self.members else 1

    @property
    def chief(self) -> bool:
        """Whether this worker writes the run's files."""
        return self.rank == 0

    @property
    def replicas(self) -> int:
        """Devices of all workers together."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    @property
    def replicas_here(self) -> int:
        """Devices of this worker."""
        return self.replicas // self.workers

    @property
    def kind(self) -> str:
        """A description for messages."""
        if self.strategy is None:
            return "one device"
        if self.members is None:
            return f"{self.replicas} devices of this machine"
        return f"{self.workers} workers from {self.members.origin}, {self.replicas_here} device(s) each"

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which to build a model and its optimizer."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    # === Between workers ===

    def barrier(self, name: str) -> None:
        """Wait until every worker has reached this point; each name can be used once.

        Raises:
            PeerLostError: a worker has died.
        """
        if self.members is None:
            return
        from tensorflow.python.eager import context

        _say(f"Worker {self.rank} of {self.workers} waits for the others: {name}.")
        with self.watched():
            context.context().wait_at_barrier(f"mmkeras/{name}", _DAY)

    def from_chief(self, key: str, value: str = "") -> str:
        """Return the chief's ``value`` on every worker; the others' values are ignored.

        Raises:
            PeerLostError: the chief has died.
        """
        if self.members is None:
            return value
        from tensorflow.python.eager import context

        with self.watched():
            if self.chief:
                context.context().set_config_key_value(f"mmkeras/{key}", value)
            # The wait for a key has no limit; the barrier fails if the chief dies before it has set the value.
            self.barrier(f"from_chief/{key}")
            return str(context.context().get_config_key_value(f"mmkeras/{key}"))

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """Return the context that raises `PeerLostError` when another worker dies."""
        return watched(self.members) if self.members else contextlib.nullcontext()


ALONE = Cluster()
"""One process, one device."""


def connect(config: ClusterConfig, environment: Mapping[str, str] = os.environ) -> Cluster:
    """Join the cluster of configuration and environment, and wait for all workers.

    Call it before any TensorFlow operation.

    Raises:
        ConfigError: the environment describes an incomplete cluster, or devices that this machine does not have.
        TrainingError: TensorFlow is already in use, or a worker did not join in time.
    """
    for name in ("workers", "devices", "wait_seconds", "heartbeat_seconds"):
        if (value := getattr(config, name)) is not None and value < 1:
            raise ConfigError(f"cluster.{name}: expected 1 or more, got {value}")
    members = find_members(environment, config.port)
    if LAUNCHED in environment:
        _belong_to_parent(environment.get("MMKERAS_CORES", ""))
    if config.strategy == "one_device":
        if members is not None:
            raise ConfigError(
                f"cluster.strategy: one_device, but {members.origin} describes {len(members.hosts)} workers; use auto"
            )
        return ALONE
    if config.strategy == "multi_worker" and members is None:
        raise ConfigError(
            "cluster.strategy: multi_worker, but no TF_CONFIG, MMKERAS_HOSTS or Slurm step describes other workers. "
            "Use --cluster.workers N to start workers on this machine"
        )
    if members is not None:
        return _join(members, config)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    wanted = config.devices or (len(gpus) if config.strategy == "auto" else max(len(gpus), 1))
    if wanted < 2 and config.strategy == "auto":
        return ALONE
    return Cluster(tf.distribute.MirroredStrategy(_local_devices(wanted)))


def _say(line: str) -> None:
    """Print before a wait: no thread of this process can print while TensorFlow waits for other workers."""
    say(line, to=sys.stderr, flush=True)


def _belong_to_parent(cores: str) -> None:
    """Use the cores from `mmkeras.training.cluster.launch`, and end when it is killed."""
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    with contextlib.suppress(OSError, AttributeError):
        # prctl(PR_SET_PDEATHSIG), on Linux only.
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _local_devices(wanted: int) -> list[str]:
    """Return names of this machine's GPUs or, without a GPU, of logical devices of the CPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if wanted > len(gpus):
            raise ConfigError(f"cluster.devices: {wanted}, but this machine has {len(gpus)} GPU(s)")
        return [f"GPU:{number}" for number in range(wanted)]
    cpu = tf.config.list_physical_devices("CPU")[0]
    if wanted > 1:
        try:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * wanted)
        except RuntimeError as error:
            raise TrainingError(
                f"cluster.devices: TensorFlow is already in use ({error}); use a fresh process"
            ) from None
    return [f"CPU:{number}" for number in range(wanted)]


def _join(members: Members, config: ClusterConfig) -> Cluster:
    import tensorflow as tf
    from tensorflow.python.eager import context

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        own = config.devices or max(1, len(gpus) // members.local_count)
        first = members.local_rank * own
        if first + own > len(gpus):
            # The scheduler lets each task see only its own GPUs.
            first = 0
        if own > len(gpus):
            raise ConfigError(f"cluster.devices: {own} for each worker, but this machine has {len(gpus)} GPU(s)")
        tf.config.set_visible_devices(gpus[first : first + own], "GPU")
    elif (config.devices or 1) > 1:
        raise ConfigError(
            "cluster.devices: in a cluster each worker has one CPU device; use more workers, or one with devices"
        )
    # A machine that stops with open connections sends no heartbeat, and the service then ends all waits.
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=1000 * config.wait_seconds,
        heartbeat_timeout_in_ms=1000 * config.heartbeat_seconds,
        coordinated_jobs=[context.coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=len(members.hosts))],
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(members.hosts)}),
        task_type="worker",
        task_id=members.rank,
        rpc_layer="grpc",
    )
    _say(
        f"Worker {members.rank} ({members.hosts[members.rank]}) waits until all of {', '.join(members.hosts)} have "
        f"started, at most cluster.wait_seconds = {config.wait_seconds}."
    )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except RuntimeError as error:
        raise TrainingError(f"The cluster must be joined before TensorFlow is used ({error})") from None
    except tf.errors.OpError as error:
        raise TrainingError(
            f"Worker {members.rank} ({members.hosts[members.rank]}) of {len(members.hosts)} could not join the others "
            f"within cluster.wait_seconds = {config.wait_seconds}: {error.message.splitlines()[0]}. Check that "
            f"all of {', '.join(members.hosts)} run and can be reached."
        ) from None
    return Cluster(strategy, members)
