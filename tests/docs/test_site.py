"""make docs: every page is built without a warning, and holds every part of the library."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generator.commands import FURTHER, VERBS
from docs.generator.components import FAMILIES
from docs.generator.pages import render
from mmkeras.core.components import names
from tests.conftest import REPOSITORY

PAGES = {
    "modalities": "modalities",
    "fusion": "fusion",
    "tasks": "tasks",
    "data.sources": "sources",
    "training.methods": "methods",
}
"""The page of each family."""


def _build(docs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(REPOSITORY)}
    command = ["mkdocs", "build", "--strict", "--config-file", str(docs / "mkdocs.yml"), "--site-dir", str(out)]
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, env=environment, cwd=REPOSITORY
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    done = _build(REPOSITORY / "docs", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """The settings of the site with pages that hold nothing but a title, and nothing to generate."""
    docs = tmp_path / "docs"
    shutil.copytree(REPOSITORY / "docs", docs, ignore=shutil.ignore_patterns("generator", "__pycache__"))
    (docs / "hooks.py").write_text("")
    for page in (docs / "pages").glob("*.md"):
        page.write_text(f"# {page.stem}\n")
    return docs


def _headings(page: Path) -> set[str]:
    found = re.findall(r"<h2[^>]*>(.*?)(?:<a|</h2>)", page.read_text("utf-8"))
    return {html.unescape(re.sub("<.*?>", "", each)).strip() for each in found}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_component_has_a_section_with_its_options(site: Path, family: str):
    page = site / f"{PAGES[family]}.html"
    assert set(names(family)) <= _headings(page)
    assert page.read_text("utf-8").count("<table>") >= (family != "training.methods")


def test_every_command_has_a_section(site: Path):
    assert {f"mmkeras {verb}" for verb in (*VERBS, *FURTHER)} <= _headings(site / "commands.html")
    assert "--target COLUMN" in (site / "commands.html").read_text("utf-8")


def test_nothing_of_this_machine_is_published(site: Path):
    texts = {
        path: path.read_text("utf-8") for path in site.rglob("*") if path.suffix in (".html", ".json", ".xml", ".css")
    }
    own = (str(REPOSITORY), str(Path.home()) + "/", str(Path(sys.prefix)))
    found = [(path.name, each) for path, text in texts.items() for each in own if each in text]
    assert not found
    assert {path.name for path in site.rglob("*.json")} == {"search_index.json"}
    assert not list(site.rglob("*.py"))
    left = [path.name for path, text in texts.items() if "{{ " in re.sub("<code>.*?</code>", "", text)]
    assert not left, f"a reference was not replaced in {left}"


def test_nothing_is_loaded_from_other_hosts(site: Path):
    """The site can be read without a network."""
    loaded = re.compile(r"""<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)=["'](https?://[^"']+)""")
    assert not [(path.name, url) for path in site.rglob("*.html") for url in loaded.findall(path.read_text("utf-8"))]


def test_pages_without_a_fault_are_built(empty: Path, tmp_path: Path):
    done = _build(empty, tmp_path / "site")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("index", "[a page](no-such-page.md)", "no-such-page.md"),
        ("index", "[a section](model.md#no-such-section)", "no-such-section"),
        ("index", "![a picture](pictures/no-such.png)", "no-such.png"),
        ("forgotten", "", "forgotten.md"),
    ],
)
def test_a_wrong_link_or_a_forgotten_page_fails_the_build(empty: Path, tmp_path: Path, name: str, text: str, said: str):
    (empty / "pages" / f"{name}.md").write_text(f"# Start\n\n{text}\n")
    done = _build(empty, tmp_path / "site")
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{{ value("vqa.acuracy") }}', "no number is called 'vqa.acuracy'"),
        ('{{ numbers("vqua.") }}', "no number begins with 'vqua.'"),
        ("{{ no_such_part() }}", "'no_such_part' is undefined"),
        ('{{ command("no-such-command") }}', "no-such-command"),
        ('{{ options("mmkeras.core.config", "NoSuchConfig") }}', "NoSuchConfig"),
        ('{{ components("no_such_family") }}', "no_such_family"),
        ('{{ notebook("no_such_notebook") }}', "no_such_notebook"),
        ("{{ value( }}", "TemplateSyntaxError"),
    ],
)
def test_a_wrong_reference_is_an_error_that_names_the_page(text: str, said: str):
    with pytest.raises(ValueError, match=rf"docs/pages/a\.md: .*{re.escape(said)}"):
        render(f"# Title\n\n{text}\n", "a.md")
