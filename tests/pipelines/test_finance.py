"""The finance pipeline: returns after costs, blocks that know their past only, and a demonstration from end to end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.command_line import parse
from mmkeras.core.components import Choice
from mmkeras.core.errors import ConfigError, TrainingError
from pipelines import finance
from pipelines._finance import walk as walking
from pipelines._finance.trading import daily_returns, summary
from pipelines._finance.walk import WalkConfig, check_walk

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json").read_text("utf-8"))
DEFAULTS = Path(finance.__file__).parent / "configs" / "finance.toml"


def _config(*arguments: str) -> finance.FinanceConfig:
    config, _ = parse(finance.FinanceConfig, list(arguments), program="t", description="", defaults=DEFAULTS)
    return config


# === Returns ===


def test_a_position_earns_the_move_and_pays_for_every_change() -> None:
    stocks, dates = ["A"] * 4, ["1", "2", "3", "4"]
    moves, positions = np.array([0.1, -0.2, 0.3, 0.1]), np.array([1.0, 0.0, -1.0, -1.0])
    trades = daily_returns(stocks, dates, moves, positions, costs=100)
    np.testing.assert_allclose(trades.gross, [0.1, 0.0, -0.3, -0.1])
    np.testing.assert_allclose(trades.turnover, [1, 1, 1, 1])  # in, out, short, and out at the end
    np.testing.assert_allclose(trades.net, [0.09, -0.01, -0.31, -0.11])


def test_stocks_of_a_day_have_equal_weights_in_any_order_of_rows() -> None:
    stocks, dates = ["B", "A", "A", "B"], ["2", "1", "2", "1"]
    trades = daily_returns(stocks, dates, np.array([0.1, 0.2, 0.3, 0.4]), np.ones(4), costs=10)
    assert trades.dates == ("1", "2")
    np.testing.assert_allclose(trades.gross, [0.3, 0.2])
    np.testing.assert_allclose(trades.net, [0.3 - 0.001, 0.2 - 0.001])


def test_perfect_answers_earn_more_than_holding_and_chance_pays_the_costs() -> None:
    rng = np.random.default_rng(0)
    stocks, dates = ["A", "B"] * 300, [f"{day:03}" for day in range(300) for _ in range(2)]
    moves = rng.normal(0, 0.01, 600)
    right, trades = summary(stocks, dates, moves, moves > 0, 10)
    assert right["long_short"]["after_costs"] > right["long_flat"]["after_costs"] > right["buy_and_hold"]["after_costs"]
    assert right["long_flat"]["excess_bps"]["low"] > 0
    assert len(trades["buy_and_hold"].dates) == right["days"] == 300
    chance, _ = summary(stocks, dates, moves, rng.random(600) > 0.5, 10)
    assert chance["long_flat"]["before_costs"] > chance["long_flat"]["after_costs"]
    assert chance["long_flat"]["excess_bps"]["low"] < 0


# === Configuration ===


@pytest.mark.parametrize(
    ("starts", "source", "message"),
    [
        (("2015-09-01",), "stocknet", "dates in order before the test split, got 2015-09-01, 2015-08-01"),
        (("2015-02-01", "2014-08-01"), "stocknet", "dates in order"),
        (("2015-02-01",), "table", "the source 'table' has no dates"),
    ],
)
def test_blocks_that_are_not_before_the_test_split_are_refused(starts, source: str, message: str) -> None:
    config = _config()
    if source == "table":
        config = dataclasses.replace(
            config, data=dataclasses.replace(config.data, source=Choice("table", {"path": "x"}))
        )
    with pytest.raises(ConfigError, match=message):
        check_walk(config, WalkConfig(starts))


def test_numbers_are_those_of_the_whole_set_over_four_blocks() -> None:
    story = finance.FinanceStory()
    story.check_numbers(_config())
    for arguments in (("--data.limit", "10"), ("--walk.starts", '["2015-02-01"]')):
        with pytest.raises(ConfigError, match=r"finance.mcc is measured on the whole of StockNet"):
            story.check_numbers(_config(*arguments))
    interval = {"value": 0.05, "low": -0.01, "high": 0.11, "method": "bootstrap"}
    alone = {"fusion_gain": {"value": 0.01, "low": None, "high": None}}
    found = story.numbers({"finance": {"all": {"mcc": interval}}, "alone": alone})
    assert (found["finance.mcc"], found["finance.fusion_gain"].value) == ((0.05, -0.01, 0.11), pytest.approx(1.0))
    with pytest.raises(ConfigError, match="expected the walk-forward evaluation"):
        story.numbers({})


def test_without_data_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert finance.main([]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "https://github.com/yumoxu/stocknet-dataset under the MIT licence" in said


# === From end to end ===


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finance")
    small = ["--demo", "--train.epochs", "2", "--alone.modalities", "[]", "--evaluate.bootstrap", "50"]
    places = ["--runs", str(folder / "runs"), "--data.folder", str(folder / "data"), "--skip_export"]
    assert finance.main([*small, *places, "--data.workers", "1"]) == 0
    return folder / "runs" / "finance_demo" / "latest"


def test_the_demonstration_walks_forward_and_is_marked(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, SCHEMA)
    first, last = metrics["finance"]["blocks"]
    assert (first["start"], first["until"], last["start"]) == ("2014-08-01", "2014-10-01", "2014-10-01")
    assert 0 < first["trained_on"] < last["trained_on"]
    assert last["samples"] == metrics["samples"]
    assert last["mcc"]["value"] == pytest.approx(metrics["test"]["mcc"]["value"], abs=1e-6)
    whole = metrics["finance"]["all"]
    assert (whole["samples"], whole["days"]) == tuple(first[key] + last[key] for key in ("samples", "days"))
    # Returns count every day of every stock; only some of these have a label.
    assert metrics["finance"]["returns"]["days"] >= whole["days"]
    assert any("It is no trading advice" in remark for remark in metrics["remarks"])
    report = (run / "report.html").read_text("utf-8")
    assert "Demonstration on generated data" in report
    assert "Walk forward over 2 blocks" in report
    for name in ("price_windows", "walk_forward", "returns"):
        assert (run / "pictures" / f"{name}.png").is_file()
        assert name.replace("_", " ") in report.replace("_", " ")


def test_each_block_learns_from_its_own_past(run: Path) -> None:
    configs = [(run / place / "config.toml").read_text("utf-8") for place in (".", "walk/2014-08-01")]
    means = [next(line for line in text.splitlines() if line.startswith("means")) for text in configs]
    vocabularies = [next(line for line in text.splitlines() if line.startswith("vocabulary =")) for text in configs]
    assert means[0] != means[1]
    assert vocabularies[0] != vocabularies[1]
    assert 'test_from = "2014-08-01"' in configs[1]


def test_answers_to_other_days_than_those_evaluated_are_caught(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmkeras.core.console import Console
    from mmkeras.evaluation.samples import read
    from mmkeras.training.run import Run
    from pipelines._stages.cluster import with_cluster
    from pipelines._stages.contract import Evaluated

    opened = Run.open(run)
    config = with_cluster(finance.FinanceConfig, opened.folder, ())
    samples = read(opened.index, "test", opened.specs, opened.task)
    done = Evaluated(opened, config, opened.model(), samples, Console(quiet=True), "finance")
    blocks = walking.walk_forward(done, config.walk)  # the finished block is not trained again
    assert [block.start for block in blocks] == ["2014-08-01", "2014-10-01"]

    honest = walking._inputs

    def reversed_series(spec: Any, day: Any, modality: str) -> dict[str, np.ndarray]:
        made = honest(spec, day, modality)
        return {name: value[::-1].copy() if name == "series_values" else value for name, value in made.items()}

    monkeypatch.setattr(walking, "_inputs", reversed_series)
    monkeypatch.setattr(walking, "_AGREE", 0.0)
    with pytest.raises(TrainingError, match=r"walk forward: expected the .* evaluated samples with MCC"):
        walking.walk_forward(done, config.walk)


@pytest.mark.slow
def test_somebodys_own_table_trains_without_a_walk(tmp_path: Path) -> None:
    rng, lines = np.random.default_rng(0), []
    for number in range(120):
        rises = bool(rng.integers(2))
        prices = rng.normal(0, 0.01, (20, 2)) + (0.01 if rises else -0.01)
        split = "train" if number < 80 else "validation" if number < 100 else "test"
        row = {"prices": prices.tolist(), "news": "good news" if rises else None, "day": f"day {number // 2}"}
        lines.append({**row, "split": split, "direction": "rise" if rises else "fall"})
    table = tmp_path / "days.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    shipped = (Path(finance.__file__).parent / "configs" / "finance_table.toml").read_text("utf-8")
    own = tmp_path / "my.toml"
    own.write_text(shipped.replace("data/days.jsonl", str(table)), encoding="utf-8")
    small = ["--train.batch_size", "16", "--train.epochs", "4", "--alone.modalities", "[]", "--skip_export"]
    places = ["--runs", str(tmp_path / "runs"), "--data.folder", str(tmp_path / "data"), "--data.workers", "1"]
    assert finance.main(["--config", str(own), *small, *places]) == 0
    metrics = json.loads((tmp_path / "runs" / "my_stocks" / "latest" / "metrics.json").read_text("utf-8"))
    assert metrics["test"]["mcc"]["value"] > 0.5
    assert "finance" not in metrics
