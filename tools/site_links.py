"""A hook of mkdocs: links from docs/ to the rest of the repository work in the site as well.

The documents link to each other, and to files beside them, as a viewer of the repository follows
links. mkdocs knows docs/ only. So BENCHMARKS.md and CHANGELOG.md become pages of the site, a link
to the README leads to its first page, and every other file that is linked to has a page with its
text, in the folder source/ of the site.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = ("BENCHMARKS.md", "CHANGELOG.md")
LANGUAGES = {
    ".json": "json", ".java": "java", ".js": "javascript", ".py": "python", ".sh": "sh",
    ".toml": "toml", ".yaml": "yaml", ".yml": "yaml",
}  # fmt: skip
LEFT = {"__pycache__", "node_modules"}
_FENCE = re.compile(r"^ *(`{3,}).*?^ *\1`* *$", re.M | re.S)
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")

_NAMED = re.compile(r"\[(?:docs/)?([\w-]+\.md)\]\(((?:[\w./-]+/)?\1)\)")
_HEADING = re.compile(r"^# ([^:\n]+)", re.M)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of what is outside docs/."""
    for name in ROOT_PAGES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text("utf-8")))
    for page in list(files.documentation_pages()):
        for path in linked(ROOT / _place(page.src_uri), page.content_string):
            for one in [path, *inside(path)]:
                if files.get_file_from_path(site_page(one)) is None:
                    files.append(File.generated(config, site_page(one), content=shown(one)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turn links to files into links to their pages, and name pages by their titles."""
    source = page.file.src_uri
    if source.startswith("source/"):
        return markdown
    here = ROOT / _place(source)

    def rewrite(path: Path) -> str:
        return os.path.relpath(site_page(path), Path(source).parent)

    return _rewritten(_titled(markdown, here), here, rewrite)


def _titled(markdown: str, document: Path) -> str:
    """`[delivery.md](delivery.md)` is for who reads files; in the site its text is the title."""

    def name(match: re.Match[str]) -> str:
        heading = _HEADING.search((document.parent / match[2]).read_text("utf-8"))
        return f"[{heading[1] if heading else match[1]}]({match[2]})"

    return _NAMED.sub(name, markdown)


def linked(document: Path, markdown: str) -> Iterator[Path]:
    """What a document links to outside docs/, as absolute paths; raises if it is not there."""
    found: list[Path] = []

    def note(path: Path) -> str:
        found.append(path)
        return ""

    _rewritten(markdown, document, note)
    for path in found:
        if site_page(path).startswith("source/"):
            if not path.exists():
                raise FileNotFoundError(f"{document}: links to {path}, which is not there")
            yield path


def site_page(path: Path) -> str:
    """The page that shows a file or folder of the repository, in mkdocs' terms."""
    place = path.relative_to(ROOT)
    if place.parts[0] == "docs":
        return place.relative_to("docs").as_posix()
    if place.as_posix() in ROOT_PAGES:
        return place.as_posix()
    if place.as_posix() == "README.md":
        return "index.md"
    return f"source/{place.as_posix()}.md"


def inside(path: Path) -> list[Path]:
    """The files below a folder, but for what programs leave there; none if it is a file."""
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    return [file for file in files if not LEFT & set(file.parts)]


def shown(path: Path) -> str:
    """The page of a file: its text; of a folder: links to the files in it."""
    head = "---\nsearch:\n  exclude: true\nhide: [toc]\n---\n"
    head += f"# `{path.relative_to(ROOT).as_posix()}`\n\n"
    if path.is_dir():
        here = Path(site_page(path)).parent
        return head + "\n".join(
            f"- [`{file.relative_to(path).as_posix()}`]({os.path.relpath(site_page(file), here)})"
            for file in inside(path)
        )
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return f"{head}A file of {path.stat().st_size:,} bytes, which is no text.\n"
    return f"{head}````{LANGUAGES.get(path.suffix, 'text')}\n{text}\n````\n"


def _place(src_uri: str) -> str:
    return src_uri if src_uri in ROOT_PAGES else f"docs/{src_uri}"


def _rewritten(markdown: str, document: Path, page_of: Callable[[Path], str]) -> str:
    """The text with every relative link outside of code replaced; anchors stay."""

    def link(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(document.parent / match[1]))
        if not path.is_relative_to(ROOT) or path == ROOT:
            raise ValueError(f"{document}: the link to {match[1]} leaves the repository")
        return page_of(path) + (match[2] or "")

    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_LINK.sub(link, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(link, markdown[end:])])
