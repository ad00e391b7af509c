"""What TensorFlow 2.21 says, word for word, when a worker was killed or stopped."""

from __future__ import annotations

import pytest
import tensorflow as tf

from mmkeras.training.cluster.members import Members
from mmkeras.training.cluster.peers import PeerLostError, watched

KILLED = """Graph execution error: Detected at CollectiveReduceV2. Collective ops is aborted by: recvmsg:Connection
reset by peer Additional GRPC error information from remote target /job:worker/replica:0/task:1 while calling
/tensorflow.WorkerService/RecvBuf"""
SILENT = """Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are unhealthy
(stopped sending heartbeats): /job:worker/replica:0/task:1"""
SILENT_CHIEF = """Collective ops is aborted by: Deadline Exceeded RPC: /tensorflow.CoordinationService/Heartbeat"""


@pytest.mark.parametrize(
    ("error", "text", "rank", "said"),
    [
        (tf.errors.UnavailableError, KILLED, 0, r"Worker 1 \(b:2\) of 2 has ended; worker 0 stops"),
        (tf.errors.UnavailableError, SILENT, 0, r"Worker 1 \(b:2\) of 2 is silent"),
        (tf.errors.DeadlineExceededError, SILENT_CHIEF, 1, r"Worker 0 \(a:1\) of 2 is silent"),
        (tf.errors.UnavailableError, "Collective ops is aborted", 1, "Another worker of 2 has ended; worker 1 stops"),
        (tf.errors.UnavailableError, "Collective ops: /task:7", 0, "Another worker of 2 has ended"),
    ],
)
def test_the_worker_that_has_gone_is_named(error, text, rank, said):
    with pytest.raises(PeerLostError, match=said), watched(Members(("a:1", "b:2"), rank, "TF_CONFIG")):
        raise error(None, None, text)


@pytest.mark.parametrize("error", [tf.errors.InternalError(None, None, "out of ideas"), ValueError("Collective")])
def test_other_errors_are_left_alone(error):
    with pytest.raises(type(error)), watched(Members(("a:1", "b:2"), 0, "TF_CONFIG")):
        raise error
