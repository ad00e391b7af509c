"""One module per engine, each with a class ``Runner(RunnerBase)``; found by its module name."""

__all__: list[str] = []
