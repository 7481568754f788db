"""The documentation as a site: it builds without a warning, its links lead somewhere, and it loads
nothing from another host; the parts of docs/ that are made from code are what the code gives."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from stream_app.broker.lock import locked_jars

ROOT = Path(__file__).parents[2]
LOADING = {"src", "srcset", "poster", "data", "action"}
"""Attributes by which a page loads or sends something by itself."""


class Page(HTMLParser):
    """What a page has: its anchors, its links, and what it loads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.inline: list[str] = []
        self._in = ""
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        for name, value in attrs:
            if name in {"id", "name"}:
                self.anchors.add(value or "")
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in LOADING or name == "href":
                self.loads.append(value or "")

    def handle_data(self, data: str) -> None:
        if self._in == "style":
            self.inline.append(data)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("SITE_URL", None)
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = run("-m", "mkdocs", "build", "--strict", "--site-dir", str(folder))
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert "not included in the" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html")}


def test_every_document_is_in_the_navigation_once(site: Path) -> None:
    def names(nav: object) -> Iterator[str]:
        if isinstance(nav, str):
            yield nav
        else:
            for one in nav.values() if isinstance(nav, dict) else nav:  # type: ignore[attr-defined]
                yield from names(one)

    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").replace("!ENV", "")
    listed = [name for name in names(yaml.safe_load(text)["nav"]) if name != "site/"]
    documents = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert sorted(listed) == sorted(documents | {"BENCHMARKS.md", "CHANGELOG.md"})


def test_every_link_and_anchor_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    for file, page in pages.items():
        for link in [*page.links, *page.loads]:
            target = urlsplit(link)
            if target.scheme or target.netloc or file.name == "404.html":
                continue
            path = (file.parent / unquote(target.path)).resolve() if target.path else file
            path = path / "index.html" if path.is_dir() else path
            assert path.is_file(), f"{file.relative_to(site)} links to {link}"
            if target.fragment and path in pages:
                assert unquote(target.fragment) in pages[path].anchors, (
                    f"{file.relative_to(site)} links to {link}: no such anchor"
                )


def test_no_page_loads_anything_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    for file, page in pages.items():
        for load in page.loads:
            assert not urlsplit(load).netloc, f"{file.relative_to(site)} loads {load}"
        for style in page.inline:
            assert "//" not in style, file.relative_to(site)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text("utf-8"))


def test_files_beside_the_documents_can_be_read_in_the_site(site: Path) -> None:
    schema = site / "source" / "schemas" / "json" / "Item.json" / "index.html"
    assert "urn:stream-app:message:Item" in schema.read_text(encoding="utf-8")
    assert (site / "BENCHMARKS" / "index.html").is_file()


def test_parts_that_are_made_from_code_are_current() -> None:
    done = run("tools/docs_parts.py", "--check")
    assert done.returncode == 0, done.stderr


def test_the_java_libraries_are_those_that_the_programs_are_tested_with() -> None:
    locked = {jar.coordinate for jar in locked_jars()}
    for page in ("producers.md", "subscribers.md"):
        named = re.findall(r"`([\w.]+:[\w-]+:[\d.]+)`", (ROOT / "docs" / page).read_text("utf-8"))
        assert len(named) == 2
        assert set(named) <= locked


def test_a_link_to_what_is_not_there_ends_the_build(tmp_path: Path) -> None:
    hook = load("site_links")
    here = ROOT / "docs" / "page.md"
    with pytest.raises(FileNotFoundError, match=r"page.md: links to .*/schemas/none.json"):
        list(hook.linked(here, "see [it](../schemas/none.json)"))
    with pytest.raises(ValueError, match="leaves the repository"):
        list(hook.linked(here, "see [it](../../none.json)"))


def test_links_are_followed_but_in_code() -> None:
    hook = load("site_links")
    text = (
        "[a](../Makefile) [b](delivery.md#x) [c](#x)\n\n```\n[d](../Dockerfile)\n```\n[e](../k8s)"
    )
    found = list(hook.linked(ROOT / "docs" / "page.md", text))
    assert found == [ROOT / "Makefile", ROOT / "k8s"]


def test_folders_lead_to_their_files_and_what_is_no_text_is_not_shown() -> None:
    hook = load("site_links")
    folder = ROOT / "examples" / "movielens" / "bundle"
    assert "[`manifest.json`](manifest.json.md)" in hook.shown(folder).replace("bundle/", "")
    assert "which is no text" in hook.shown(folder / "step.onnx")


def load(name: str) -> Any:
    """A module of tools/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
