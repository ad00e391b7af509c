"""The matching task through the whole chain: trained, exported, indexed, searched; the towers by themselves, too."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import mmkeras
from export.run import export_run
from export.source import source_from_run
from export.submodels import submodel_sources
from export.verification.verify import Reference
from mmkeras.bundle import Bundle
from mmkeras.core.config import ExportConfig
from mmkeras.core.errors import ConfigError, ExportError
from mmkeras.model import submodels
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from mmkeras.tasks import SubmodelOutputs
from mmkeras.tasks.embedding.spec import Spec as Embedding
from mmkeras.training.run import Run
from tests.toys.chain import PICTURE, TEXT, Chain, command, run_chain
from tests.toys.tables import write_matches

CONFIG = f"""
[model]
width = 16
[model.fusion]
name = "none"
[model.task]
name = "matching"
options = {{ size = 8, heads = 2, pairs = 1, hard_negatives = 1, mmd = 0.1 }}
[model.image]{PICTURE}[model.text]{TEXT}"""
TOWERS = {"image_tower": "image", "text_tower": "text"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("towers")
    return run_chain(folder, write_matches(folder), {"image": "picture", "text": "caption"}, CONFIG)


def test_the_whole_and_each_tower_are_accepted(chain: Chain):
    assert chain.report.accepted
    assert [part.name for part in chain.report.submodels] == ["toy.image_tower", "toy.text_tower"]
    for part in chain.report.submodels:
        assert part.accepted
        assert part.reference["all"] == pytest.approx(1.0)


@pytest.mark.parametrize(("tower", "modality"), TOWERS.items())
def test_a_tower_has_the_scenarios_of_its_own_input(chain: Chain, tower: str, modality: str):
    written = json.loads((chain.bundle(tower) / "export.json").read_text("utf-8"))
    tried = {scenario for file in written["files"] for scenario in file["scenarios"]}
    assert "all" in tried
    assert not any(scenario.startswith("without") for scenario in tried)
    assert set(Bundle.open(chain.bundle(tower)).specs) == {modality}


def test_the_reports_have_their_documented_form(chain: Chain):
    schema = json.loads((Path(mmkeras.__file__).parent / "schemas" / "export.schema.json").read_text("utf-8"))
    whole = json.loads((chain.bundle() / "export.json").read_text("utf-8"))
    for each in (whole, *(json.loads((chain.bundle(tower) / "export.json").read_text("utf-8")) for tower in TOWERS)):
        jsonschema.validate(each, schema)
    version = chain.report.version
    assert whole["submodels"] == [{"name": f"toy.{t}", "version": version, "accepted": True} for t in TOWERS]
    manifest = Bundle.open(chain.bundle("text_tower")).manifest
    assert manifest.provenance["part_of"] == {"name": "toy", "submodel": "text_tower"}
    assert "the part of the model toy" in (chain.bundle("text_tower") / "MODEL_CARD.md").read_text("utf-8")


@pytest.mark.parametrize(("tower", "modality"), TOWERS.items())
def test_a_tower_answers_as_in_the_trained_model(chain: Chain, tower: str, modality: str):
    value = {"image": chain.folder / "3.png", "text": "a red square"}[modality]
    with Bundle.open(chain.packed(tower)) as bundle:
        assert selftest(bundle).passed
    with Predictor(chain.packed(tower)) as predictor:
        got = np.array(predictor.predict(**{modality: value})["embedding"])
    run = Run.open(chain.run)
    part = submodels(run.model(), run.specs, run.task)[tower]
    inputs = {name: array[None] for name, array in part.specs[modality].inputs(value).items()}
    np.testing.assert_allclose(got, np.asarray(part.model(inputs)["embedding"])[0], atol=1e-5)
    assert np.linalg.norm(got) == pytest.approx(1.0, abs=1e-5)


def test_the_commands_take_a_tower_unchanged(chain: Chain):
    folder = chain.folder / "saved_models" / "toy.text_tower"
    for arguments in (("selftest", folder), ("predict", folder, "--text", "a blue square")):
        status, said = command(*arguments)
        assert status == 0, said
    status, said = command("benchmark", folder, "--runs", "3")
    assert (status, "cosine_similarity" in said) == (0, True)


def test_a_submodel_shares_the_weights_of_the_model(chain: Chain):
    run = Run.open(chain.run)
    model = run.model()
    own = {id(variable) for variable in model.variables}
    for part in submodels(model, run.specs, run.task).values():
        assert part.model.variables
        assert {id(variable) for variable in part.model.variables} < own


def test_samples_without_the_input_of_a_tower_are_left_out(chain: Chain):
    source = source_from_run(Run.open(chain.run), 24)
    first, *others = source.samples
    blind = dataclasses.replace(first, values={**first.values, "image": None})
    tower = submodel_sources(dataclasses.replace(source, samples=[blind, *others]))["image_tower"]
    assert [sample.key for sample in tower.samples] == [sample.key for sample in others]
    assert {name for sample in tower.samples for name in sample.values} == {"image"}
    with pytest.raises(ExportError, match=r"toy\.image_tower: no test sample has image"):
        submodel_sources(dataclasses.replace(source, samples=[blind]))


def test_the_targets_of_a_tower_are_its_outputs(chain: Chain):
    source = source_from_run(Run.open(chain.run), 24)
    tower = submodel_sources(source)["text_tower"]
    reference = Reference(tower)
    whole, *others = reference.cases
    np.testing.assert_array_equal(reference.targets(np.array([3, 1])), whole.outputs["embedding"][[3, 1]])
    assert whole.metric == pytest.approx(1.0)
    # They stay those of the unchanged samples.
    assert others
    assert all(case.metric < 1.0 for case in others)


def test_a_tower_is_exported_anew_from_its_own_bundle(chain: Chain, tmp_path: Path):
    config = ExportConfig(folder=str(tmp_path), formats=("saved_model",), precisions=("float32",))
    report = export_run(chain.bundle("image_tower"), config)
    assert (report.name, report.accepted, report.submodels) == ("toy.image_tower", True, ())
    assert report.reference["all"] == pytest.approx(1.0)


def test_a_tower_that_misses_its_gate_fails_the_export(chain: Chain):
    image, text = chain.report.submodels
    missed = dataclasses.replace(text, files=(dataclasses.replace(text.files[0], accepted=False), *text.files[1:]))
    report = dataclasses.replace(chain.report, submodels=(image, missed))
    assert (report.files_accepted, report.accepted) == (True, False)
    assert [part["accepted"] for part in report.to_json()["submodels"]] == [True, False]


@pytest.mark.parametrize(
    ("name", "modalities", "layer", "task", "said"),
    [
        ("a tower", ("image",), "image_embedding", Embedding(8), "expected a name of letters"),
        ("tower", ("imgae",), "image_embedding", Embedding(8), "did you mean 'image'"),
        ("tower", ("image",), "image_embedding", Embedding(9), "expected the outputs of the task embedding"),
        ("tower", ("image",), "text_embedding", Embedding(8), "cannot be computed from image alone"),
    ],
)
def test_what_a_head_names_wrongly_is_refused(
    chain: Chain,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    modalities: tuple[str, ...],
    layer: str,
    task: Embedding,
    said: str,
):
    from mmkeras.core.components import find

    run = Run.open(chain.run)
    model = run.model()
    wrong = SubmodelOutputs({"embedding": model.get_layer(layer).output}, modalities, task)
    monkeypatch.setattr(find("tasks", "matching", "head"), "submodels", lambda model, spec: {name: wrong})
    with pytest.raises(ConfigError, match=said):
        submodels(model, run.specs, run.task)
