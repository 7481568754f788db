"""Fill the parts of docs/ that are made from the code, or check that they are what it gives.

A part stands between two comments, which a reader does not see:

    <!-- part: code examples/clients/python/producer.py -->
    <!-- /part -->

`code PATH` is a file, `settings` are all settings of stream_app/settings.py with the commands that
take them, `topics` and `messages` are the contract of schemas/. The text is committed, so that it
can be read without building the site.

    python tools/docs_parts.py            # write
    python tools/docs_parts.py --check    # exit with 1 if a part is not current
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from message_reference import messages_part, topics_part
from settings_reference import settings_part

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LANGUAGES = {".java": "java", ".js": "javascript", ".json": "json", ".py": "python", ".txt": "text"}
_PART = re.compile(r"(<!-- part: (\w+)(?: (\S+))? -->\n).*?(<!-- /part -->)", re.S)


def code_part(path: str) -> str:
    """A file as a fenced block."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return f"```{LANGUAGES[Path(path).suffix]}\n{text}```\n"


MAKERS: Mapping[str, Callable[..., str]] = {
    "code": code_part,
    "messages": messages_part,
    "settings": settings_part,
    "topics": topics_part,
}


def filled(text: str) -> str:
    """The document with every part as the code has it now."""

    def fill(match: re.Match[str]) -> str:
        begin, maker, argument, end = match.groups()
        made = MAKERS[maker](*([argument] if argument else []))
        return f"{begin}\n{made}\n{end}"

    return _PART.sub(fill, text)


def main() -> None:
    check = sys.argv[1:] == ["--check"]
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (current := filled(text)) != text:
            stale.append(page.name)
            if not check:
                page.write_text(current, encoding="utf-8")
                print(f"wrote docs/{page.name}")
    if check and stale:
        names = ", ".join(stale)
        sys.exit(f"not current in docs/: {names}; run `python tools/docs_parts.py`")


if __name__ == "__main__":
    main()
