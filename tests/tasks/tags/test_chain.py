"""Pages with tagged words from a table to answers of the packed bundle, with and without a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities.document.spec import Spec as DocumentSpec
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from mmkeras.tasks.tags.spec import Config
from tests.tasks.tags.pages import page, write_pages
from tests.toys.chain import PICTURE, Chain, reads_otherwise, run_chain

CONFIG = f"""
[model]
width = 16
[model.fusion]
name = "cross_attention"
options = {{ query = "document", heads = 2, layers = 1 }}
[model.task]
name = "tags"
options = {{ class_weights = "balanced", label_smoothing = 0.1 }}
[model.document]
kind = "document"
words = 12
overlap = 4
layers = 1
heads = 2
hidden = 8
word_dropout = 0.1
jitter = 0.1
[model.image]{PICTURE}
[train]
epochs = 6
batch_size = 16
learning_rate = 1e-2
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("pages")
    columns = {"document": "page", "image": "picture"}
    return run_chain(folder, write_pages(folder), columns, CONFIG, target="tags")


def test_it_is_trained_evaluated_and_accepted_in_every_scenario(chain: Chain) -> None:
    assert chain.metrics["test"]["entity_f1"]["value"] > 0.3
    assert {"date", "total"} <= set(chain.metrics["per_class"])
    assert chain.report.accepted
    for file in chain.report.files:
        assert {"without_image", "without_document", "jumbled_document", "shifted_document"} <= set(file.scenarios)


def test_the_packed_bundle_proves_itself_and_quotes_entities(chain: Chain) -> None:
    with Bundle.open(chain.packed()) as bundle:
        result = selftest(bundle)
        assert result.passed, result
    value, _ = page(np.random.default_rng(3))
    with Predictor(chain.packed()) as predictor:
        (entity, *_) = predictor.predict(document=json.dumps(value))["entities"]
        words = value["words"]
        assert entity["text"] == " ".join(words[entity["start"] : entity["stop"]])
        assert len(entity["box"]) == 4
        with pytest.raises(DataError, match="outside of the page"):
            predictor.predict(document={**value, "width": 1})


def test_a_page_of_more_words_than_fit_is_read_in_windows(chain: Chain) -> None:
    value, tags = page(np.random.default_rng(3), repeat=5)
    assert len(value["words"]) > 30
    with Predictor(chain.packed()) as predictor:
        found = predictor.predict(document=value)["entities"]
    assert max(entity["stop"] for entity in found) > 24
    assert sum(tag.startswith("B") for tag in tags) / 2 < len(found) <= len(tags)


def test_a_device_that_reads_boxes_otherwise_fails_its_selftest(chain: Chain) -> None:
    def fault(spec: DocumentSpec, made: dict[str, np.ndarray]) -> None:
        made["document_numbers"][:, -10:-2] *= 0.9

    with Bundle.open(chain.packed()) as bundle, reads_otherwise(DocumentSpec, fault):
        assert not selftest(bundle).passed


def test_tags_that_do_not_fit_the_words_are_quarantined(tmp_path: Path) -> None:
    table = write_pages(tmp_path, rows=8)
    lines = table.read_text("utf-8").splitlines()
    changed = json.loads(lines[0])
    changed["tags"] += " O"
    table.write_text("\n".join([json.dumps(changed), *lines[1:]]), "utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(AssertionError):
        run_chain(folder, table, {"document": "page", "image": "picture"}, CONFIG, target="tags")
    (report,) = (folder / "data").glob("*.quarantine.csv")
    assert "expected a tag for each of the" in report.read_text("utf-8")


def test_a_text_needs_a_token_for_each_word() -> None:
    with pytest.raises(ConfigError, match='pooling = "words"'):
        Config(labels=("date",), words="text").spec({"text": TextConfig().spec_before_data("text")})
