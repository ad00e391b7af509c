from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkeras.core.errors import BundleError, ConfigError, DataError
from mmkeras.media.text.vocabulary import SPECIAL_TOKENS, train_vocabulary, vocabulary_bytes
from mmkeras.modalities import spec_from_json
from mmkeras.modalities.text.spec import Config, Spec
from mmkeras.storage.files import write_bytes
from tests.media.text.strings import LONG, TEXTS

TOKENS = (*SPECIAL_TOKENS, "what", "is", "it", "?", "tri", "##angle", "中")
SPEC = Spec("text", 8, TOKENS)


def ids(text: str, spec: Spec = SPEC) -> list[str]:
    inputs = spec.preprocess(text)
    length = int(inputs["text_padding_mask"].sum())
    assert not inputs["text_padding_mask"][length:].any()
    assert not inputs["text_token_ids"][length:].any()
    return [spec.vocabulary[i] for i in inputs["text_token_ids"][:length]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "[CLS] [SEP]"),
        (" \u3000\x00", "[CLS] [SEP]"),
        ("What is it?", "[CLS] what is it ? [SEP]"),
        ("TRIANGLE tri triangles", "[CLS] tri ##angle tri [UNK] [SEP]"),
        ("中中 it", "[CLS] 中 中 it [SEP]"),
        ("it " * 20, "[CLS] it it it it it it [SEP]"),
        ("triangle " * 20, "[CLS] tri ##angle tri ##angle tri ##angle [SEP]"),
        ("it triangle triangle triangle", "[CLS] it tri ##angle tri ##angle tri [SEP]"),
    ],
)
def test_tokens(text: str, expected: str) -> None:
    assert ids(text) == expected.split()


def test_special_tokens_written_out_are_plain_text() -> None:
    assert "[MASK]" not in ids("[MASK] [CLS]")
    assert ids("[SEP]").count("[SEP]") == 1


def test_words_over_100_bytes_are_unknown_in_ascii_and_cut_in_other_letters() -> None:
    spec = Spec("text", 256, (*SPECIAL_TOKENS, "a", "##a", "ж", "##ж"))
    assert ids("a" * 101, spec) == ["[CLS]", "[UNK]", "[SEP]"]
    assert ids("ж" * 51, spec) == ["[CLS]", "ж", *["##ж"] * 48, "ж", "##ж", "[SEP]"]
    assert len(ids("a" * 100, spec)) == 102
    assert len(ids("ж" * 50, spec)) == 52


@pytest.mark.parametrize(
    "sentence",
    ["ภาพนี้แสดงรถยนต์สีแดงที่จอดอยู่ข้างถนนใหญ่ในเมือง", "この写真には大きな赤い車が写っています", "图片上有一辆红色的大汽车"],
)
def test_languages_without_blanks_are_not_one_unknown_token(sentence: str) -> None:
    spec = Spec("text", 128, train_vocabulary([sentence, sentence[10:] + sentence], 500))
    assert spec.coverage([sentence * 3]) == {"unknown": 0.0, "cut": pytest.approx(0.0, abs=0.5)}
    assert len(ids(sentence * 3, spec)) > 10


def test_coverage_counts_unknown_and_cut_tokens() -> None:
    assert SPEC.coverage(["what is it?", None, "what nobody knows"]) == {"unknown": 2 / 7, "cut": 0.0}
    assert SPEC.coverage(["it " * 8, ""]) == {"unknown": 0.0, "cut": 0.25}
    assert SPEC.coverage([]) == {"unknown": 0.0, "cut": 0.0}


@given(TEXTS)
def test_any_string_gives_the_declared_tensors(text: str) -> None:
    for tensor, value in zip(SPEC.tensors, SPEC.preprocess(text).values(), strict=True):
        assert value.shape == tensor.shape
        assert value.dtype == tensor.dtype


@pytest.mark.parametrize("value", [None, b"text", 3, ["a"], float("nan"), "a\ud800"])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(DataError):
        SPEC.preprocess(value)


def test_absent() -> None:
    inputs = SPEC.inputs(None)
    assert inputs["text_present"] == 0
    assert not inputs["text_padding_mask"].any()


@given(st.text("ab\U0001f642é", max_size=5))
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, token: str) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    spec = Spec("question", 16, (*TOKENS, f"##x{token}\u2028", "\u3000"), lowercase=False)
    assert spec.save_files(folder) == ("question_vocabulary.txt",)
    assert spec_from_json(json.loads(json.dumps(spec.to_json())), folder) == spec


@pytest.mark.parametrize("file", ["/dev/zero", "../text_vocabulary.txt", "sub/text_vocabulary.txt", "", None, 3])
def test_a_vocabulary_outside_the_bundle_is_not_read(tmp_path: Path, file: object) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "sub").mkdir(parents=True)
    spec = SPEC
    for folder in (tmp_path, bundle / "sub"):
        spec.save_files(folder)
    value = spec.to_json()
    value["vocabulary"]["file"] = file
    with pytest.raises(BundleError, match="must be a file in this folder"):
        Spec.from_json(value, bundle)


def test_altered_or_missing_vocabulary_is_refused(tmp_path: Path) -> None:
    value = SPEC.to_json()
    with pytest.raises(BundleError, match="no vocabulary file"):
        spec_from_json(value, tmp_path)
    write_bytes(tmp_path / "text_vocabulary.txt", vocabulary_bytes([*TOKENS, "more"]))
    with pytest.raises(BundleError, match="altered"):
        spec_from_json(value, tmp_path)


def test_pickles_after_use() -> None:
    SPEC.preprocess("it")
    copy = pickle.loads(pickle.dumps(SPEC))
    assert copy == SPEC
    assert ids("is it 中", copy) == ids("is it 中")


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ((), "no text vocabulary yet"),
        (("[PAD]", "[UNK]", "a"), r"lacks \[CLS\], \[SEP\]"),
        ((*TOKENS, "it"), "repeated"),
        ((*TOKENS, ""), "empty"),
        ((*TOKENS, "a\nb"), "broken"),
        ((*TOKENS, "a\0"), "broken"),
    ],
)
def test_bad_vocabularies(tokens: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Spec("text", 8, tokens)


def test_lowercase_is_true_or_false() -> None:
    with pytest.raises(ConfigError, match="expected true or false"):
        Spec("text", 8, TOKENS, [True])  # type: ignore[arg-type]


def test_config_gives_the_spec(tmp_path: Path) -> None:
    write_bytes(tmp_path / "vocab.txt", vocabulary_bytes(TOKENS))
    config = Config(max_length=8, vocabulary=str(tmp_path / "vocab.txt"))
    assert config.spec("text") == SPEC
    with pytest.raises(ConfigError, match="no text vocabulary yet"):
        Config().spec("text")
    with pytest.raises(ConfigError, match="no vocabulary file"):
        Config(vocabulary=str(tmp_path / "none.txt")).spec("text")


@pytest.mark.parametrize(
    "options",
    [{"max_length": 2}, {"layers": 0}, {"hidden": 10}, {"dropout": 1.0}, {"mask_rate": -0.1}],
)
def test_impossible_options_are_named(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Config(**options)  # type: ignore[arg-type]


def test_works_where_tensorflow_and_keras_are_blocked(tmp_path: Path) -> None:
    SPEC.save_files(tmp_path)
    (tmp_path / "spec.json").write_text(json.dumps(SPEC.to_json()))
    (tmp_path / "text.txt").write_bytes(LONG.encode())
    program = """
import json, pathlib, sys
blocked = ("tensorflow", "tensorflow_text", "keras", "keras_nlp", "keras_hub", "regex", "jax", "torch")
sys.modules.update(dict.fromkeys(blocked))
from mmkeras.modalities import spec_from_json
folder = pathlib.Path(sys.argv[1])
spec = spec_from_json(json.loads((folder / "spec.json").read_text()), folder)
text = (folder / "text.txt").read_bytes().decode()
print(json.dumps([spec.preprocess(t)["text_token_ids"].tolist() for t in ("What is it?", text)]))
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        SPEC.preprocess(text)["text_token_ids"].tolist() for text in ("What is it?", LONG)
    ]
