"""Files of text, record by record, each with the number of its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import msgspec

from stream_app.datasets.events import DatasetError, TableBuilder

Fields = list[str]


def open_text(path: Path) -> TextIO:
    """Open a file as UTF-8; raises `DatasetError` where there is none.

    Other bytes become lone surrogates, which no id may hold: so an error names the very line, and
    bytes in columns that nobody reads do no harm.
    """
    try:
        return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise DatasetError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def csv_records(path: Path, delimiter: str = ",") -> Iterator[tuple[int, Fields]]:
    """Yield the records of a CSV file as `(line, fields)`, the header among them; no empty ones.

    Raises `DatasetError` for what is no CSV.
    """
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for fields in reader:
                if fields:
                    yield reader.line_num, fields
        except csv.Error as error:
            raise DatasetError(
                f"{path}:{reader.line_num}: not readable as CSV ({error}); correct or delete the "
                "line"
            ) from error


def json_records(path: Path, into: TableBuilder) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a file with a JSON object a line as `(line, fields)`.

    What is no JSON object is rejected by `into`.
    """
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    try:
        file = path.open("rb")
    except OSError as error:
        raise DatasetError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    with file:
        for line, text in enumerate(file, start=1):
            try:
                if not text.isspace():
                    yield line, decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                into.reject(f"{path}:{line}", f"not a JSON object ({error})")
