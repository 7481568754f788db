"""Reader of what items say of themselves: an item id and a text, or MovieLens titles and genres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from schemas.messages import MAX_ID_BYTES
from stream_app.datasets.events import DatasetError
from stream_app.datasets.lines import Fields, csv_records
from stream_app.datasets.movielens import MOVIES_HEADER

COLUMNS = ("item_id", "text")
NO_GENRES = "(no genres listed)"
SHAPE = "expected .csv with columns item_id and text, .jsonl with these fields, or movies.csv"


def read_item_texts(path: Path) -> dict[str, str]:
    """Read a text per item id from `.csv`, `.jsonl`, or `movies.csv` of MovieLens.

    An item without text may be left out, or have an empty one. The last line of an item counts.
    Raises `DatasetError` naming the file, the line, and what to do.
    """
    readers = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}
    read = readers.get(path.suffix.lower())
    if read is None:
        raise DatasetError(f"{path}: {SHAPE}")
    texts = {}
    for line, item_id, text in read(path):
        if not _is_id(item_id):
            raise DatasetError(f"{path}:{line}: item_id is {item_id!r}; {SHAPE}")
        if not isinstance(text, str | None):
            raise DatasetError(f"{path}:{line}: text is {text!r}; {SHAPE}")
        texts[str(item_id)] = text or ""
    if not texts:
        raise DatasetError(f"{path}: holds no items; is it the right file?")
    return texts


def _is_id(value: Any) -> bool:
    """Whether an event could name an item so."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    try:
        return 0 < len(str(value).encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False


def movie_text(title: str, genres: str) -> str:
    """The text of a movie: `Toy Story (1995). Adventure, Animation` of title and `A|B` genres."""
    named = "" if genres == NO_GENRES else genres.replace("|", ", ")
    return f"{title}. {named}".strip(" .") if named else title


def _csv(path: Path) -> Iterator[tuple[int, Any, Any]]:
    records = csv_records(path)
    _, header = next(records, (1, []))
    movies = header == MOVIES_HEADER
    if not movies and not set(COLUMNS) <= set(header):
        raise DatasetError(f"{path}:1: the header is {','.join(header)[:80]!r}; {SHAPE}")
    for line, fields in records:
        if len(fields) != len(header):
            raise DatasetError(
                f"{path}:{line}: expected {len(header)} fields, got {len(fields)}; correct or "
                "delete the line"
            )
        item_id, text = _movie(fields) if movies else _named(header, fields)
        yield line, item_id, text


def _movie(fields: Fields) -> tuple[str, str]:
    return fields[0], movie_text(fields[1], fields[2])


def _named(header: Fields, fields: Fields) -> tuple[str, str]:
    item_id, text = (fields[header.index(name)] for name in COLUMNS)
    return item_id, text


def _jsonl(path: Path) -> Iterator[tuple[int, Any, Any]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    for line, one in enumerate(raw.split(b"\n"), start=1):
        try:
            if one.strip():
                fields = decode(one)
                yield line, fields.get("item_id"), fields.get("text")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DatasetError(
                f"{path}:{line}: not a JSON object ({error}); correct or delete the line"
            ) from error
