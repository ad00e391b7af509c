from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkeras.core.errors import ConfigError
from mmkeras.driving.stream.faults import FORMS, Fault, parse_fault, parse_faults, read_faults
from mmkeras.driving.stream.injection import Arrival, Injection
from tests.driving.stream.vehicle import START, drive


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kill radar at 3 s", Fault("kill", "radar", 3_000_000)),
        ("revive RADAR_FRONT_LEFT at 6.5s", Fault("revive", "RADAR_FRONT_LEFT", 6_500_000)),
        ("delay camera 150 ms from 2 s to 5 s", Fault("delay", "camera", 2_000_000, 5_000_000, 150_000)),
        ("Drop 50 % Radar", Fault("drop", "radar", amount=0.5)),
        ("drop 12.5% radar to 1 min", Fault("drop", "radar", 0, 60_000_000, 0.125)),
        ("freeze   camera from 250 ms", Fault("freeze", "camera", 250_000)),
        ("corrupt camera", Fault("corrupt", "camera")),
        ("corrupt camera at 4 s", Fault("corrupt", "camera", 4_000_000, once=True)),
        ("repeat cam_front to 100 us", Fault("repeat", "CAM_FRONT", 0, 100)),
        ("jitter radar .08 s", Fault("jitter", "radar", amount=80_000)),
        ("jump clock -10 s at 3 s", Fault("jump", "clock", 3_000_000, amount=-10_000_000)),
    ],
)
def test_lines(text: str, expected: Fault):
    fault = parse_fault(text)
    assert fault == Fault(**{**vars(expected), "text": " ".join(text.split())})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("explode camera", "there is no fault 'explode'"),
        ("", "there is no fault ''"),
        ("kill lidar at 3 s", "expected camera, radar or a channel such as RADAR_FRONT, got 'lidar at 3 s'"),
        ("kill radar 3 s", "expected 'at', got '3 s'"),
        ("kill radar at 3", "expected a time such as 3 s, got '3'"),
        ("kill radar at -3 s", "expected a time such as 3 s, not negative, got '-3 s'"),
        ("delay camera from 2 s", "expected a duration such as 150 ms, got 'from 2 s'"),
        ("delay camera 150 ms from 5 s to 2 s", "expected an end after the beginning"),
        ("drop half radar", "expected a share such as 50 %, got 'half radar'"),
        ("drop 150 % radar", "expected 0 % to 100 %, got '150 % radar'"),
        ("freeze camera soon", "expected the end of the line, got 'soon'"),
        ("freeze camera at 3 s", "expected the end of the line, got 'at 3 s'"),
        ("jump radar 3 s at 1 s", "expected 'clock', got 'radar 3 s at 1 s'"),
    ],
)
def test_a_wrong_line_says_what_was_expected(text: str, message: str):
    with pytest.raises(ConfigError) as error:
        parse_fault(text, "script:7")
    assert message in str(error.value)
    assert str(error.value).startswith("script:7: ")
    word = text.split()[0] if text else ""
    assert word not in FORMS or FORMS[word] in str(error.value)


@given(st.text(alphabet="kilredayomp cx%0123456789.s-\n#", max_size=40))
def test_any_text_is_read_or_refused(text: str):
    with contextlib.suppress(ConfigError):
        parse_fault(text)


def test_every_wrong_line_of_a_file_is_reported(tmp_path: Path):
    path = tmp_path / "faults.txt"
    path.write_text("# a bad day\nkill radar at 3 s  # all of them\n\nkill radr at 3 s\nfreeze\n")
    with pytest.raises(ConfigError) as error:
        read_faults(path)
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == [f"{path}:4", f"{path}:5"]
    path.write_text("kill radar at 3 s\nrevive radar at 4 s\n")
    assert [fault.kind for fault in read_faults(path)] == ["kill", "revive"]


def test_toml(tmp_path: Path):
    path = tmp_path / "faults.toml"
    path.write_text('faults = ["kill radar at 3 s", "drop 5 % camera"]')
    assert [fault.kind for fault in read_faults(path)] == ["kill", "drop"]
    for text, message in (
        ("faults = 3", "a list of lines"),
        ('fault = ["kill radar at 3 s"]', "got fault"),
        ("faults = [", "not TOML"),
        ('faults = ["kill radar"]', "faults:1: 'kill radar'"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_faults(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_faults(tmp_path / "none.txt")


def _through(*faults: str, seed: int = 0) -> list[Arrival]:
    return list(Injection(parse_faults(faults), START, seed)(drive(2.0)))


def test_delayed_messages_stay_in_the_order_of_their_arrival():
    arrivals = _through("delay camera 300 ms from 0.5 s to 1 s", "jitter radar 200 ms")
    moments = [arrival.moment for arrival in arrivals]
    assert moments == sorted(moments)
    assert len(arrivals) == len(drive(2.0))


def test_losses_are_the_same_every_time_and_of_the_share_that_was_asked_for():
    first, second, other = (_through("drop 50 % radar", seed=seed) for seed in (0, 0, 1))
    times = [[arrival.moment for arrival in arrivals] for arrivals in (first, second, other)]
    assert times[0] == times[1] != times[2]
    sweeps = sum(hasattr(a.message, "cloud") for a in drive(2.0))
    assert 0.3 < sum(hasattr(a.message, "cloud") for a in first) / sweeps < 0.7
    assert not [a for a in _through("drop 100 % radar") if hasattr(a.message, "cloud")]
    assert len(_through("drop 0 % radar")) == len(drive(2.0))


def test_the_order_of_lines_does_not_matter():
    lines = ("kill radar at 0.5 s", "revive radar at 1 s", "kill camera at 1.5 s")
    expected = [arrival.moment for arrival in _through(*lines)]
    assert [arrival.moment for arrival in _through(*lines[::-1])] == expected


@pytest.mark.parametrize("time", ["9" * 400, "9" * 390 + " s at 3", "99999999999"])
def test_times_beyond_all_bounds(time: str):
    with pytest.raises(ConfigError, match=r"at most 400 characters|expected a time such as"):
        parse_fault(f"kill radar at {time} s")


def test_a_script_nested_without_end(tmp_path: Path):
    (tmp_path / "faults.toml").write_text("faults = " + "[" * 5000)
    with pytest.raises(ConfigError, match=r"faults\.toml: not TOML"):
        read_faults(tmp_path / "faults.toml")
