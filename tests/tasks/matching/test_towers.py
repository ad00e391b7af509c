"""The matching task through the whole chain: trained, exported, indexed, searched; the towers by themselves, too."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

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
from mmkeras.runtime.shelf.shelf import Shelf
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


# === Index and search ===


@pytest.fixture(scope="module")
def shelf(chain: Chain) -> Path:
    path = chain.folder / "shelf.idx"
    pictures = [chain.folder / f"{number}.png" for number in range(6)]
    status, said = command("index", chain.bundle(), *pictures, "--out", path)
    assert (status, "6 entries (image)" in said) == (0, True)
    return path


def _searched(*arguments: str | Path) -> list[dict[str, Any]]:
    status, said = command("search", *arguments, "--json")
    assert status == 0, said
    answers: list[dict[str, Any]] = json.loads(said)["answers"]
    return answers


def test_an_index_holds_the_vectors_of_the_tower_and_finds_a_picture_by_itself(chain: Chain, shelf: Path):
    picture = str(chain.folder / "3.png")
    with Predictor(chain.bundle("image_tower")) as predictor:
        own = np.array(predictor.predict(image=picture)["embedding"])
    read = Shelf.load(shelf)
    np.testing.assert_allclose(read.vectors[read.entries.index(picture)], own, atol=1e-6)
    answers = _searched(chain.bundle(), shelf, "--picture", picture, "--top", "2")
    assert len(answers) == 2
    assert answers[0]["cosine"] == pytest.approx(1.0, abs=1e-5)


def test_a_text_is_searched_by_every_form_of_the_model(chain: Chain, shelf: Path):
    with Predictor(chain.bundle("text_tower")) as predictor:
        query = np.array(predictor.predict(text="a red square")["embedding"])
    read = Shelf.load(shelf)
    expected = np.sort(read.vectors @ query)[::-1][:3]
    # The whole model, its packed form, which has no tower beside it, and the tower alone.
    for bundle in (chain.bundle(), chain.packed(), chain.bundle("text_tower")):
        found = [answer["cosine"] for answer in _searched(bundle, shelf, "a red square", "--top", "3")]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_answers_are_judged_again_and_shown_on_a_sheet(chain: Chain, shelf: Path, tmp_path: Path):
    sheet = tmp_path / "sheet.png"
    answers = _searched(chain.bundle(), shelf, "a red square", "--top", "4", "--rerank", "3", "--sheet", sheet)
    judged = [answer["match"] for answer in answers[:3]]
    assert judged == sorted(judged, reverse=True)
    assert "match" not in answers[3]
    with Predictor(chain.bundle()) as predictor:
        alone = predictor.predict(image=str(answers[0]["entry"]), text="a red square")["match"]
    assert judged[0] == pytest.approx(alone)
    assert sheet.read_bytes().startswith(b"\x89PNG")
    status, said = command("search", chain.bundle(), shelf, "a red square", "--rerank", "2")
    assert (status, "match" in said, "6 entries searched in" in said) == (0, True, True)


def test_labels_are_a_classifier_of_pictures(chain: Chain, tmp_path: Path):
    path = tmp_path / "labels.idx"
    arguments = ("--labels", "red", "blue", "--template", "a {} square", "--vectors", "int8")
    assert command("index", chain.bundle(), "--out", path, *arguments)[0] == 0
    answers = _searched(chain.bundle(), path, "--picture", chain.folder / "0.png", "--rerank", "2")
    assert {answer["entry"] for answer in answers} == {"red", "blue"}
    with Predictor(chain.bundle()) as predictor:
        for answer in answers:
            alone = predictor.predict(image=str(chain.folder / "0.png"), text=f"a {answer['entry']} square")
            assert (answer["cosine"], answer["match"]) == pytest.approx((alone["cosine"], alone["match"]), abs=0.02)


def test_pictures_are_added_and_removed(chain: Chain, shelf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path, broken = tmp_path / "mine.idx", tmp_path / "broken.png"
    path.write_bytes(shelf.read_bytes())
    broken.write_bytes(b"no picture")
    status, said = command("index", chain.bundle(), chain.folder / "8.png", broken, "--out", path, "--add")
    assert (status, "7 entries" in said, "1 left out" in said) == (1, True, True)
    assert "left out: " + str(broken) in capfd.readouterr().err.replace("\n", "")
    assert command("index", chain.bundle(), "--out", path, "--remove", str(chain.folder / "0.png"))[0] == 0
    assert str(chain.folder / "0.png") not in Shelf.load(path).entries
    assert len(Shelf.load(path).entries) == 6


def test_what_cannot_be_searched_is_refused(
    chain: Chain, shelf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    other, cut = tmp_path / "other.idx", tmp_path / "cut.idx"
    dataclasses.replace(Shelf.load(shelf), model={"name": "toy", "version": 9, "created": "x"}).save(other)
    cut.write_bytes(shelf.read_bytes()[:-9])
    bundle, picture = chain.bundle(), chain.folder / "1.png"
    for arguments, wanted in (
        (("search", bundle, other, "a"), "are of the model toy 9 (x), not of toy 1"),
        (("search", bundle, cut, "a"), "its checksum does not fit"),
        (("search", bundle, shelf), "expected a text or --picture"),
        (("search", bundle, shelf, "a", "--picture", picture), "expected a text or --picture"),
        (("search", bundle, shelf, "a", "--top", "0"), "--top of 1 or more"),
        (("search", chain.bundle("image_tower"), shelf, "a"), "no tower of the kind text"),
        (("search", chain.bundle("text_tower"), shelf, "a", "--rerank", "2"), "has no head for pairs"),
        (
            ("search", chain.bundle(), shelf, "--picture", chain.folder / "0.png", "--rerank", "2"),
            "--rerank: expected a question of another kind than the entries (image)",
        ),
        (("search", chain.bundle(), shelf, "a", "--sheet", "answer.jpg"), "expected a file that ends with .png"),
        (("index", bundle, picture, "--out", shelf), "exists: --add adds to it"),
        (("index", bundle, "--out", tmp_path / "new.idx"), "expected pictures, folders or --labels"),
        (("index", bundle, "--out", shelf, "--add", "--labels", "red"), "holds image, not text"),
        (("index", bundle, "--out", shelf, "--remove", "gone.png"), "has no entry 'gone.png'"),
        (("index", bundle, tmp_path, "--out", tmp_path / "new.idx"), "no entry could be read"),
    ):
        status, _ = command(*arguments)
        said = " ".join(capfd.readouterr().err.split())
        assert (status > 0, wanted in said) == (True, True), (wanted, said)


def test_a_verb_of_training_and_device_is_chosen_by_the_bundle(
    chain: Chain, shelf: Path, monkeypatch: pytest.MonkeyPatch
):
    trained: list[list[str]] = []

    def train(verb: str, rest: list[str]) -> int:
        trained.append(rest)
        return 0

    monkeypatch.setattr("mmkeras.runtime.cli.TRAINING", {"search": "hyper-parameters"})
    monkeypatch.setattr("mmkeras.runtime.cli.run_training", train)
    assert command("search", "my.toml", "--space", "a")[0] == 0
    assert trained == [["my.toml", "--space", "a"]]
    assert len(_searched(chain.bundle(), shelf, "a red square", "--top", "1")) == 1
