from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkeras.core.errors import ConfigError
from mmkeras.training.cluster.slurm import expand_nodes, expand_tasks, read_step


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node1", ["node1"]),
        ("node[1-3]", ["node1", "node2", "node3"]),
        ("node[08-11]", ["node08", "node09", "node10", "node11"]),
        ("n[1-2],m5,o[3-4,6,7-9]", ["n1", "n2", "m5", "o3", "o4", "o6", "o7", "o8", "o9"]),
        ("gpu[1-2]-ib", ["gpu1-ib", "gpu2-ib"]),
        ("rack[0-1]node[01-02]", ["rack0node01", "rack0node02", "rack1node01", "rack1node02"]),
        (
            "login.cluster.example,gpu-a-[098-101]",
            ["login.cluster.example", *(f"gpu-a-{n}" for n in ("098", "099", "100", "101"))],
        ),
    ],
)
def test_lists_of_nodes(text, names):
    assert expand_nodes(text) == names


@pytest.mark.parametrize(
    "text", ["", "node[1-", "node]", "node[3-1]", "node[a-b]", "a,,b", "node[]", "node[1-2-3]", "n[²]"]
)
def test_what_is_no_list_is_refused(text):
    with pytest.raises(ConfigError, match="Slurm node list"):
        expand_nodes(text)


@pytest.mark.parametrize("text", ["n[0-99999999999]", "a[0-999]b[0-999]c[0-999]", "node[1-4],x[0-65535]"])
def test_a_list_that_would_fill_the_memory_is_refused(text):
    with pytest.raises(ConfigError, match="more than 65536 nodes"):
        expand_nodes(text)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abn019[]-,. ", max_size=24))
def test_any_text_is_a_list_or_a_config_error(text):
    try:
        names = expand_nodes(text)
    except ConfigError:
        return
    assert names
    assert all(names)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["n", "gpu-", "x.y"]), st.integers(0, 200), st.integers(0, 20), st.integers(1, 4)),
        min_size=1,
        max_size=4,
    )
)
def test_where_tensorflow_understands_a_list_it_agrees(parts):
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_hostlist

    text = ",".join(f"{name}[{first:0{width}}-{first + more:0{width}}]" for name, first, more, width in parts)
    assert expand_nodes(text) == expand_hostlist(text)


def test_tasks_of_nodes():
    assert expand_tasks("2(x3),1") == [2, 2, 2, 1]
    assert expand_tasks("4") == [4]
    for text in ("", "2(3)", "x", "1,,2", "2(x99999999)"):
        with pytest.raises(ConfigError, match=r"2\(x3\),1"):
            expand_tasks(text)


STEP = {
    "SLURM_STEP_NODELIST": "gpu[01-02]",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
    "SLURM_PROCID": "2",
    "SLURM_JOB_ID": "4711",
}


def test_a_step():
    step = read_step(STEP)
    assert step.hosts == ("gpu01", "gpu01", "gpu02")
    assert (step.rank, step.job) == (2, 4711)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x3)"}, "has 3 nodes, SLURM_STEP_NODELIST has 2"),
        ({"SLURM_DISTRIBUTION": "cyclic"}, "--distribution=block"),
        ({"SLURM_PROCID": None}, "SLURM_PROCID is not set"),
    ],
)
def test_a_step_that_does_not_fit_together_is_named(changed, message):
    with pytest.raises(ConfigError, match=message):
        read_step({name: value for name, value in {**STEP, **changed}.items() if value is not None})
