"""A release in memory that knows texts: `item-7` lies where the text `rockets` is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_release import DIM, small_release
from small_text import DIM as TEXT_DIM
from small_text import small_text_encoder

from stream_app.bundle import Bundle
from stream_app.bundle.text import TextProjector, TextSpec
from stream_app.profiles import Profiles
from stream_app.retrieval import build_index
from stream_app.text import Projection

ENCODER = small_text_encoder()
TEXT = "rockets"


def projector() -> TextProjector:
    matrix = np.random.default_rng(5).standard_normal((TEXT_DIM, DIM)).astype(np.float32)
    spec = TextSpec(encoder="small", sha256=ENCODER.digest, dim=TEXT_DIM, delta_max=0.5)
    return TextProjector(spec, Projection(np.zeros(TEXT_DIM, np.float32), matrix))


def release(items: int = 300) -> Bundle:
    """`item-7` lies where the text `rockets` is; nobody has touched it yet."""
    bundle = small_release(items)
    text = projector()
    vectors = bundle.catalog.vectors.copy()
    asked = Profiles(replace(bundle, text=text), ENCODER).ask([TEXT])
    assert asked is not None
    vectors[7] = asked.vectors[0]
    bundle.catalog.set_vectors(np.arange(items, dtype=np.int32), vectors[:items])
    bundle.priors.popularity[7] = 0
    return replace(bundle, text=text, index=build_index(bundle.catalog.vectors))
