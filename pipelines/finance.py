"""Finance: the window of a stock's prices and the texts about it in, rise or fall of the next day out.

    python -m pipelines.finance --data.source.options.folder stocknet           # StockNet: prices and tweets
    python -m pipelines.finance --config pipelines/configs/finance_headlines.toml --data.source.options.folder DIR
    python -m pipelines.finance --config my.toml     # your own table, see pipelines/configs/finance_table.toml
    python -m pipelines.finance --demo               # without data: a small generated set

Only what was public at the market's close before the predicted day is read. Splits are dates; in the walk-forward
evaluation each block of days is answered by a model that was trained on the days before it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmkeras.core.config import ModelConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.core.terminal import utf8_program
from mmkeras.modalities.series.spec import Config as SeriesConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from pipelines._finance.demo import DATES, write_demo
from pipelines._finance.walk import WalkConfig, check_walk, market_source
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.contract import Evaluated
from pipelines._stages.public import PublicStory, fusion_gain
from pipelines._stages.results import Figure
from pipelines._stages.story import run_story

__all__ = ["FinanceConfig", "FinanceModel", "FinanceStory", "TradeConfig", "main"]

_FEWEST_BLOCKS = 4


@dataclass(frozen=True)
class TradeConfig:
    """The rules whose returns are reported."""

    costs: float = 10.0
    """Basis points of the traded value that buying or selling costs."""


@dataclass(frozen=True)
class FinanceModel(ModelConfig):
    """A window of prices, and texts."""

    series: SeriesConfig = field(default_factory=SeriesConfig)
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class FinanceConfig(StoryConfig):
    """A run of the finance pipeline."""

    name: str = "finance"
    """Name of the run's folder and of the saved model."""
    model: FinanceModel = field(default_factory=FinanceModel)
    walk: WalkConfig = field(default_factory=WalkConfig)
    trade: TradeConfig = field(default_factory=TradeConfig)


class FinanceStory(PublicStory[FinanceConfig]):
    """The common stages, then the walk-forward evaluation and returns after costs."""

    needs = """
It expects daily prices and texts of stocks. StockNet (prices and tweets of 88 stocks, 2014 to 2015) is at
https://github.com/yumoxu/stocknet-dataset under the MIT licence: name its folder with price and tweet by
--data.source.options.folder. Prices and headlines of three stocks are at
https://github.com/rcorizzo/stock-market-stacking, without a licence (finance_headlines.toml). Your own table needs
columns with a list of numbers, a text, the day and rise or fall (finance_table.toml).
"""

    def demo(self, config: FinanceConfig, folder: Path) -> None:
        """Write prices and tweets with a planted relation, in StockNet's form."""
        write_demo(folder)

    def demo_config(self, config: FinanceConfig, folder: Path) -> FinanceConfig:
        """Return the configuration for the generated days: one block before the test split."""
        config = super().demo_config(config, folder)
        options = {**config.data.source.options, **{name: DATES[name] for name in DATES if name != "block"}}
        source = dataclasses.replace(config.data.source, options=options)
        data = dataclasses.replace(config.data, source=source)
        # A few hundred samples: small batches, so that an epoch has more than two steps.
        train = dataclasses.replace(config.train, batch_size=16, learning_rate=3e-3)
        return dataclasses.replace(config, data=data, train=train, walk=WalkConfig((DATES["block"],)))

    def prepare(self, config: FinanceConfig, console: Console) -> FinanceConfig:
        """Check the dates of the blocks, and show how many days rise, fall or are no samples."""
        check_walk(config, config.walk)
        config = super().prepare(config, console)
        if (source := market_source(config)) is not None:
            counts = source.counts(source.loaded())
            said = ", ".join(f"{count} {name}" for name, count in counts.items())
            console.print(f"days of stocks: {said} (between: too small for a label)", highlight=False)
        return config

    def named(self, config: FinanceConfig) -> str:
        """Return the first part of the names of this configuration's numbers."""
        return "finance" if config.data.source.name == "stocknet" else ""

    def check_numbers(self, config: FinanceConfig) -> None:
        """Refuse other data than the whole of StockNet, and fewer than four blocks."""
        if config.data.source.name != "stocknet" or config.data.limit or len(config.walk.starts) < _FEWEST_BLOCKS:
            raise ConfigError(
                "--record: finance.mcc is measured on the whole of StockNet, walking forward over four blocks or more; "
                f"got {config.data.source.name}, data.limit {config.data.limit} and {len(config.walk.starts)} blocks"
            )

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the MCC over all blocks and the gain of the fusion on the test split."""
        found = metrics.get("finance", {}).get("all")
        if not found:
            raise ConfigError("--record: expected the walk-forward evaluation in metrics.json, got none")
        mcc = Figure(*(found["mcc"][key] for key in ("value", "low", "high")))
        return {"finance.mcc": mcc, "finance.fusion_gain": fusion_gain(metrics)}

    def after_evaluation(self, done: Evaluated) -> None:
        """Walk forward, compute returns after costs, and train each modality alone."""
        if market_source(done.config) is not None:
            from pipelines._finance.report import add_finance
            from pipelines._stages.stages import stage

            with stage(done.console, "Walk forward"):
                add_finance(done, done.config.walk, done.config.trade.costs)
        super().after_evaluation(done)


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(FinanceConfig, arguments, program=Path(__file__), description=__doc__, story=FinanceStory())


if __name__ == "__main__":
    sys.exit(main())
