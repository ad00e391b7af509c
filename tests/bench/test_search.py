from __future__ import annotations

import pytest

from tests.bench.search import main


def test_it_prints_both_kinds_and_records_only_the_declared_size(capsys: pytest.CaptureFixture[str]):
    assert main(["--entries", "5000", "--size", "128", "--queries", "5"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "structured vectors: median" in said
    assert "random vectors: median" in said
    assert main(["--entries", "5000", "--record"]) == 2
    assert "expected 100,000 vectors of 512 numbers" in " ".join(capsys.readouterr().err.split())
