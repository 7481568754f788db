"""Numpy files as bytes: nothing pickled, and equal arrays give equal bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def encode_npy(array: Array) -> bytes:
    """One array as a `.npy` file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def decode_npy(raw: bytes) -> Array:
    """The array of a `.npy` file; `ValueError` if it is none."""
    array = _load(raw)
    if not isinstance(array, np.ndarray):
        raise ValueError("holds several arrays, expected one")
    return array


def encode_npz(arrays: Mapping[str, Array]) -> bytes:
    """Named arrays as a compressed `.npz` file; numpy writes no times into it."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def decode_npz(raw: bytes, expected: Mapping[str, type[np.generic]]) -> dict[str, Array]:
    """The arrays of a `.npz` file; `ValueError` unless it holds the expected names and dtypes."""
    archive = _load(raw)
    if isinstance(archive, np.ndarray):
        raise ValueError("holds one array, expected several with names")
    with archive:
        arrays = {}
        for name, dtype in expected.items():
            if name not in archive.files:
                raise ValueError(f"holds no array {name!r}")
            arrays[name] = archive[name]
            if arrays[name].dtype != dtype:
                raise ValueError(f"{name} is {arrays[name].dtype}, expected {np.dtype(dtype)}")
    return arrays


def expect_shape(name: str, array: Array, *shape: int) -> None:
    """Raise `ValueError` unless the array has this shape; -1 stands for any size."""
    fits = len(array.shape) == len(shape) and all(
        wanted in (-1, size) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted_text = ", ".join("any" if size == -1 else str(size) for size in shape)
        raise ValueError(f"{name} has shape {list(array.shape)}, expected [{wanted_text}]")


def expect_weights(name: str, array: Array) -> None:
    """Raise `ValueError` unless every value is finite and at least 0."""
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name} holds values that are negative or not finite")


def _load(raw: bytes) -> Any:
    try:
        return np.load(io.BytesIO(raw), allow_pickle=False)
    except Exception as error:  # numpy, zipfile and zlib raise what they like on strange bytes
        raise ValueError(f"is not a numpy file: {error}") from error
