"""The modules of every component have the functions that their family's protocol declares, with its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from mmkeras.core.components import component, find, has, names
from mmkeras.core.errors import ConfigError
from mmkeras.data.modules import ModalityPackage, RecordsModule, TargetRecords, records_of
from mmkeras.evaluation.modules import PictureModule, ReviewModule, picture_of, review_of
from mmkeras.fusion._contract import FusionModule, fusion_of
from mmkeras.modalities import ModalityConfig, ModalitySpec
from mmkeras.model.modules import BranchModule, HeadModule
from mmkeras.tasks import TaskConfig, TaskSpec

FAMILIES: tuple[tuple[type[Any], str, str], ...] = (
    (RecordsModule, "modalities", "records"),
    (BranchModule, "modalities", "branch"),
    (ModalityPackage, "modalities", ""),
    (HeadModule, "tasks", "head"),
    (TargetRecords, "tasks", "records"),
    (FusionModule, "fusion", ""),
    (PictureModule, "modalities", "picture"),
    (ReviewModule, "tasks", "review"),
)


def _modules() -> Iterator[tuple[type[Any], ModuleType]]:
    for protocol, family, module in FAMILIES:
        for name in names(family):
            if not module or has(family, name, module):
                yield protocol, find(family, name, module)


def _parameters(function: Any) -> list[inspect.Parameter]:
    return [each for each in inspect.signature(function).parameters.values() if each.name != "self"]


@pytest.mark.parametrize(("protocol", "module"), [pytest.param(*each, id=each[1].__name__) for each in _modules()])
def test_a_module_fits_the_protocol_of_its_family(protocol, module):
    for name, declared in inspect.getmembers(protocol, inspect.isfunction):
        if name.startswith("_"):
            continue
        own = getattr(module, name, None)
        if own is None:
            assert not getattr(declared, "__isabstractmethod__", False), f"{module.__name__} has no {name}"
            continue
        positional = [each for each in _parameters(own) if each.kind is not inspect.Parameter.KEYWORD_ONLY]
        expected = [each for each in _parameters(declared) if each.kind is not inspect.Parameter.VAR_KEYWORD]
        assert len(positional) == len(expected), f"{module.__name__}.{name}: expected {inspect.signature(declared)}"


@pytest.mark.parametrize(
    ("family", "config", "spec"), [("modalities", ModalityConfig, ModalitySpec), ("tasks", TaskConfig, TaskSpec)]
)
def test_configurations_and_specs_derive_from_their_bases(family, config, spec):
    """What they may leave out is then declared there, with its default."""
    for name in names(family):
        module = find(family, name, "spec")
        assert issubclass(module.Config, config), name
        assert issubclass(module.Spec, spec), name


def test_what_a_module_leaves_out_is_the_default_of_the_protocol():
    assert records_of("image").raw(b"png") == b"png"
    assert records_of("text").raw(b"word") == "word"
    move: Any = None
    assert records_of("text").move(None, {"text": 1}, move) == {"text": 1}
    assert fusion_of("mean").extra_outputs(None) is None
    assert fusion_of("mean").GIVES == ("pooled",)
    text, image = picture_of("text"), picture_of("image")
    assert text is not None
    assert (text.image("a word"), text.caption("a word")) == (None, "a word")
    assert image is not None
    assert (picture_of("nothing"), review_of("classification")) == (None, None)


def test_a_module_without_a_required_function_is_named():
    protocol: Any = BranchModule
    with pytest.raises(ConfigError, match=r"mmkeras.fusion.mean: expected the functions build, got none"):
        component(protocol, "fusion", "mean")
