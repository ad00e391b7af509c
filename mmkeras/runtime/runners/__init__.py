"""One module per engine, each with a class ``Runner(RunnerBase)``."""

__all__: list[str] = []
