"""Sources of stock prices: labels, splits by date, bad lines, and nothing of the future in a sample."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources._market import MarketSource
from mmkeras.data.sources._prices import FEATURES, in_order
from mmkeras.data.sources.stock_headlines import Source as Headlines
from mmkeras.data.sources.stocknet import Source
from tests.data.market import days, random_moves, write_demo, write_headlines, write_prices, write_tweets

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "stocknet.tar.xz"


def _values(source: MarketSource, before: str = "9999") -> dict[str, tuple[bytes, str | None, str]]:
    """Return what the model reads, and the label, of every sample before a date."""
    return {
        sample.key: (sample.values["series"].tobytes(), sample.values["text"], sample.target)
        for sample in source.samples()
        if not isinstance(sample.target, Exception) and str(sample.group) < before
    }


def test_labels_are_those_of_the_paper_and_splits_are_dates(tmp_path: Path) -> None:
    moves = [0.01] * 10 + [0.0055, 0.0056, -0.005, -0.0049, -0.2, 0.0]
    write_prices(tmp_path, "AAA", moves)
    write_tweets(tmp_path, "AAA", [])
    (tmp_path / "tweet").mkdir()
    dates = days(len(moves))
    source = Source(folder=str(tmp_path), validation_from=dates[11], test_from=dates[12])
    samples = {sample.group: sample for sample in source.samples()}
    assert list(samples) == [*dates[5:10], dates[11], dates[12], dates[14]]
    assert [samples[dates[place]].target for place in (9, 11, 12, 14)] == ["rise", "rise", "fall", "fall"]
    assert [samples[dates[place]].split for place in (9, 11, 12, 14)] == ["train", "validation", "test", "test"]
    read = source.read()
    assert source.counts(read) == {"fall": 2, "rise": 6, "between": 3, "not used": 5}
    assert samples[dates[14]].key == f"AAA/{dates[14]}"
    assert samples[dates[14]].origin == "price/AAA.txt:2"


def test_a_window_ends_with_the_day_before_and_the_market_is_the_mean_of_all_stocks(tmp_path: Path) -> None:
    first, second = random_moves(40), random_moves(40, 1)
    write_prices(tmp_path, "AAA", first)
    write_prices(tmp_path, "BBB", second)
    (tmp_path / "tweet").mkdir()
    dates = days(40)
    every = {day.sample.key: day.sample for day in _days(Source(folder=str(tmp_path), window=8))}
    series = every[f"AAA/{dates[20]}"].values["series"]
    assert series.shape == (8, len(FEATURES))
    np.testing.assert_allclose(series[:, 0], np.log1p(first[12:20]), atol=1e-9)
    expected = (np.log1p(first[12:20]) + np.log1p(second[12:20])) / 2
    np.testing.assert_allclose(series[:, FEATURES.index("market return")], expected, atol=1e-9)
    assert abs(series[:, FEATURES.index("gap")].mean()) < 1e-12
    assert every[f"AAA/{dates[6]}"].values["series"].shape[0] == 6
    assert f"AAA/{dates[4]}" not in every


def _days(source: MarketSource):
    return source.days(source.read())


def test_a_text_is_read_from_the_close_after_it_and_for_some_days(tmp_path: Path) -> None:
    dates = days(12)
    write_prices(tmp_path, "AAA", [0.01] * 12)
    tweets = [
        (f"{dates[7]} 19:59:59", "before the close"),
        (f"{dates[7]} 20:00:01", "after the close"),
        (f"{dates[6]} 10:00:00", "the day before"),
        (f"{dates[5]} 10:00:00", "two days before"),
    ]
    write_tweets(tmp_path, "AAA", tweets)
    texts = {sample.group: sample.values["text"] for sample in Source(folder=str(tmp_path), text_days=2).samples()}
    assert texts[dates[7]] == "the day before . two days before"
    assert texts[dates[8]] == "before the close . the day before"
    assert texts[dates[9]] == "after the close . before the close"
    assert texts[dates[11]] is None
    one = Source(folder=str(tmp_path), text_days=2, texts=1)
    assert {sample.group: sample.values["text"] for sample in one.samples()}[dates[8]] == "before the close"


def _change_the_future(folder: Path, from_date: str) -> None:
    """Turn the movements around, and replace the tweets, from a day on."""
    for path in (folder / "price").glob("*.txt"):
        lines = []
        for line in path.read_text("utf-8").splitlines():
            date, *cells = line.split("\t")
            numbers = [f"{-0.5 * float(cell) + 0.01:.6f}" for cell in cells[:-1]] + ["77"]
            lines.append("\t".join([date, *numbers]) if date >= from_date else line)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for path in (folder / "tweet").rglob("*"):
        if path.is_file() and path.name >= from_date:
            path.write_text(path.read_text("utf-8").replace("quarter", "tomorrow").replace("of", "what comes"), "utf-8")


@pytest.mark.parametrize("day", ["2014-07-01", "2014-10-15"])
def test_a_changed_future_changes_no_input(tmp_path: Path, day: str) -> None:
    write_demo(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    _change_the_future(tmp_path / "b", day)
    before, after = (Source(folder=str(tmp_path / name)) for name in "ab")
    past = _values(before, day)
    assert len(past) > 300
    assert _values(after, day) == past
    # The inputs of the first changed day are those of its past too; only its label and the days after differ.
    inputs = [{key: value[:2] for key, value in _by_day(source, day).items()} for source in (before, after)]
    assert inputs[0] == inputs[1]
    assert len(inputs[0]) == 6
    assert _values(before) != _values(after)


def _by_day(source: MarketSource, date: str) -> dict[str, tuple[bytes, str | None, float]]:
    return {
        day.stock: (day.sample.values["series"].tobytes(), day.sample.values["text"], day.move)
        for day in _days(source)
        if day.date == date
    }


def test_a_source_that_reads_the_day_itself_is_caught_by_that(tmp_path: Path, monkeypatch) -> None:
    """The check above can fail: a window that ends a day later holds the movement to predict."""
    write_demo(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    _change_the_future(tmp_path / "b", "2014-07-01")
    honest = Source.read

    def ahead(self: Source):
        read = honest(self)
        for prices in read.prices:
            prices.steps[:-1] = prices.steps[1:]
        return read

    monkeypatch.setattr(Source, "read", ahead)
    before, after = (_by_day(Source(folder=str(tmp_path / name)), "2014-07-01") for name in "ab")
    assert any(before[stock][0] != after[stock][0] for stock in before)


def test_lines_that_cannot_be_used_are_named_and_the_others_kept(tmp_path: Path) -> None:
    path = write_prices(tmp_path, "AAA", [0.01] * 30)
    lines = path.read_text("utf-8").splitlines()
    lines[3] = lines[3].replace("0.010000", "up", 1)
    lines[5], lines[6] = lines[6], lines[5]
    lines[9] = "31.12.2014\t" + lines[9].split("\t", 1)[1]
    lines[12] = lines[12].rsplit("\t", 1)[0]
    lines[15] = lines[14]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_tweets(tmp_path, "AAA", [(f"{days(30)[20]} 10:00:00", "fine")])
    with next((tmp_path / "tweet" / "AAA").iterdir()).open("a", encoding="utf-8") as stream:
        stream.write('{"text": ["broken"\n{"created_at": "yesterday", "text": ["x"]}\n')
    samples = list(Source(folder=str(tmp_path)).samples())
    bad = {sample.origin: str(sample.target) for sample in samples if isinstance(sample.target, DataError)}
    assert bad["price/AAA.txt:4"] == "movement: expected a finite number, a share above -1, got 'up'"
    assert "expected a date such as 2015-08-03, got '31.12.2014'" in bad["price/AAA.txt:10"]
    assert "got 6 cells" in bad["price/AAA.txt:13"]
    out_of_order = [origin for origin, said in bad.items() if "is out of order" in said]
    assert len(out_of_order) == 2
    tweets = [origin for origin in bad if origin.startswith("tweet/")]
    assert [origin.rpartition(":")[2] for origin in sorted(tweets)] == ["2", "3"]
    assert len(bad) == 7
    assert len(samples) - len(bad) == 30 - 5 - 5


@pytest.mark.parametrize(
    ("dates", "kept", "wrong"),
    [
        (["a", "b", "c"], [0, 1, 2], []),
        (["c", "b", "a"], [2, 1, 0], []),
        (["a", "z", "b", "c"], [0, 2, 3], [1]),
        (["a", "b", "b", "c"], [0, 1, 3], [2]),
        (["d", "c", "z", "b", "a"], [4, 3, 1, 0], [2]),
        (["a"], [0], []),
        ([], [], []),
    ],
    ids=str,
)
def test_the_most_dates_in_order_are_kept(dates: list[str], kept: list[int], wrong: list[int]) -> None:
    found, others = in_order(dates)
    assert sorted([*found, *others]) == list(range(len(dates)))
    assert [dates[place] for place in found] == [dates[place] for place in kept]
    assert len(others) == len(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_from": "1.8.2015"}, "test_from: expected a date such as 2015-08-01"),
        ({"validation_from": "2015-08-01", "test_from": "2015-06-01"}, "dates in the order"),
        ({"window": 0}, "window: expected at least 1"),
        ({"fall": 0.1}, "fall: expected at most rise"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Source(**options)  # type: ignore[arg-type]


def test_a_folder_without_the_data_is_named(tmp_path: Path) -> None:
    for source in (Source(folder=str(tmp_path)), Source(), Headlines(folder=str(tmp_path)), Headlines()):
        with pytest.raises(DataError, match=r"data.source.options.folder|prices_<stock>.csv"):
            list(source.samples())


def test_headlines_are_read_for_the_day_after_only(tmp_path: Path) -> None:
    closes = [100.0 + (number % 3) for number in range(12)]
    dates = days(12)
    write_headlines(tmp_path, "aapl", closes, {dates[7]: ["It fell today", "Shares end the day lower"], dates[8]: []})
    with (tmp_path / "prices_aapl.csv").open("a", encoding="utf-8") as stream:
        stream.write("2015-02-30,aapl,1,1,1,1,1\n")
    samples = list(Headlines(folder=str(tmp_path)).samples())
    texts = {sample.group: sample.values["text"] for sample in samples if sample.values}
    assert texts[dates[7]] is None
    assert texts[dates[8]] == texts[dates[9]] == "Shares end the day lower . It fell today"
    labels = {sample.group: sample.target for sample in samples if sample.values}
    assert [labels[dates[place]] for place in (6, 7, 8)] == ["fall", "rise", "rise"]
    (bad,) = [sample for sample in samples if not sample.values]
    assert (bad.origin, "expected a date" in str(bad.target)) == ("prices_aapl.csv:14", True)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason="the archive of StockNet is not here")
def test_the_real_set_has_no_bad_line_and_its_known_days(tmp_path: Path) -> None:
    shutil.unpack_archive(REAL, tmp_path, filter="data")
    source = Source(folder=str(tmp_path / "stocknet"), train_from="2014-01-01")
    read = source.read()
    assert (len(read.prices), read.bad) == (88, [])
    counts = source.counts(read)
    assert counts["rise"] > counts["fall"] > 10_000
    apple = next(prices for prices in read.prices if prices.stock == "AAPL")
    assert (apple.dates[-1], round(float(apple.moves[-1]), 4)) == ("2015-09-30", 0.0114)
