"""The learned ranker of a release: what puts candidates in order in place of the weighted sum.

Contract of `ranker.onnx`, all float32, `R` and `C` dynamic: inputs `candidates` `[R, C, F]` and
`users` `[R, U]` (left out where U is 0), in the order of the manifest's `ranker`, NaN where a
feature is unknown; output `scores` `[R, C]`, finite for any input. Scaling of the features is
inside the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.bundle.arrays import decode_npz, encode_npz, expect_shape
from stream_app.encoders.onnx import open_session
from stream_app.encoders.spec import EncoderError

RANKER_FILE = "ranker.onnx"
RANKER_GOLDEN_FILE = "ranker_golden.npz"
RANKER_ITEMS_FILE = "ranker_items.npz"
RANKER_FILES = (RANKER_FILE, RANKER_GOLDEN_FILE, RANKER_ITEMS_FILE)

FRESHNESS = "freshness"
TEXT_SIMILARITY = "text similarity"
FEATURES = (
    "affinity",
    "transition",
    "last transition",
    "popularity",
    "similarity",
    "recent similarity",
    TEXT_SIMILARITY,
    FRESHNESS,
    "price",
)
"""What can be known of a candidate; `stream_app.ranking.features` says how."""
USER_FEATURES = ("events", "gap", "mainstream")
"""What can be known of a user beside the candidates."""

# Scores are sums of some tens of products near 1: another machine differs by about 1e-6.
TOLERANCE = 1e-3
GOLDEN_DTYPES = {"candidates": np.float32, "users": np.float32, "scores": np.float32}
ITEMS_DTYPES: Mapping[str, type[np.generic]] = {"first_ms": np.int64, "texts": np.float16}

Floats = NDArray[np.float32]


class RankerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest's `ranker`."""

    kind: Literal["linear", "moe"]
    """`linear`, or a mixture of experts (`moe`)."""
    features: tuple[str, ...]
    """Names of the features of a candidate, in the order of the graph's input."""
    user_features: tuple[str, ...]
    """Names of the features of a user."""

    def __post_init__(self) -> None:
        for names, known in ((self.features, FEATURES), (self.user_features, USER_FEATURES)):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"ranker takes the feature {name!r}, which this release of stream-app does "
                        "not make; upgrade stream-app"
                    )
            if len(set(names)) != len(names):
                raise ValueError(f"ranker: of the features {', '.join(names)} one is named twice")
        if not self.features:
            raise ValueError("ranker takes no feature of candidates")


class Features(NamedTuple):
    """A pool of candidates as a ranker sees it: `R` users with `C` columns."""

    candidates: Floats
    """`[R, C, F]`, NaN where unknown."""
    users: Floats
    """`[R, U]`, NaN where unknown."""
    items: NDArray[np.int32]
    """Catalogue positions `[R, C]`."""
    open: NDArray[np.bool_]
    """False `[R, C]` where the score does not matter."""


class Ranker(Protocol):
    """Puts the candidates of a pool in order."""

    spec: RankerSpec

    def score(self, features: Features) -> Floats:
        """Scores `[R, C]` in nats: logits of the candidate that the next event is on."""


class OnnxRanker:
    """A ranker on ONNX Runtime, one graph on one CPU thread; one call for a whole pool."""

    def __init__(self, spec: RankerSpec, graph: bytes) -> None:
        """Raises `ValueError` for a graph that cannot be read or breaks the contract above."""
        self.spec = spec
        try:
            self._session = open_session(Path(RANKER_FILE), 1, graph)
        except EncoderError as error:
            raise ValueError(str(error)) from error
        self._check_ends()
        unknown = np.full((2, 3, len(spec.features)), np.nan, np.float32)
        try:
            scores = self._run(unknown, np.full((2, len(spec.user_features)), np.nan, np.float32))
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise ValueError(f"the graph fails on two users: {error}") from error
        expect_shape("scores", scores, 2, 3)
        if not np.isfinite(scores).all():
            raise ValueError("scores are not finite where no feature is known")

    def score(self, features: Features) -> Floats:
        """One call for all of them; see `Ranker.score`."""
        return self._run(features.candidates, features.users)

    def _run(self, candidates: Floats, users: Floats) -> Floats:
        inputs = {"candidates": candidates}
        if self.spec.user_features:
            inputs["users"] = users
        scores: Floats = self._session.run(("scores",), inputs)[0]
        return scores

    def _check_ends(self) -> None:
        found = {end.name: (end.type, end.shape) for end in self._session.get_inputs()}
        ends = {"candidates": (3, len(self.spec.features))}
        if self.spec.user_features:
            ends["users"] = (2, len(self.spec.user_features))
        if set(found) != set(ends):
            raise ValueError(f"inputs are {', '.join(sorted(found))}; expected {', '.join(ends)}")
        for name, (axes, width) in ends.items():
            kind, shape = found[name]
            if kind != "tensor(float)" or len(shape) != axes or shape[-1] != width:
                raise ValueError(
                    f"input {name!r} is {kind}{shape}; the manifest names {width} features"
                )
        outputs = [end.name for end in self._session.get_outputs()]
        if outputs != ["scores"]:
            raise ValueError(f"outputs are {', '.join(outputs)}; expected scores")


@dataclass(frozen=True)
class RankerItems:
    """What a ranker asks about the items of the release and the bundle holds nowhere else."""

    first_ms: NDArray[np.int64]
    """`[N]` time of the first event on each (Unix ms), the largest int64 for none; `[0]` where
    `freshness` is no feature."""
    texts: NDArray[np.float16]
    """`[N, d]` unit vectors of their texts alone, zeros for none; `[0, d]` where
    `text similarity` is no feature."""


@dataclass(frozen=True)
class ReleasedRanker:
    """A ranker as it is written into a bundle."""

    spec: RankerSpec
    graph: bytes
    items: RankerItems
    candidates: Floats
    """Features of the golden pool, `[R, C, F]`."""
    users: Floats
    """Those of its users, `[R, U]`."""

    def files(self) -> dict[str, bytes]:
        """By name; the scores of the golden pool are computed here. Errors are of `OnnxRanker`."""
        golden = {"candidates": self.candidates, "users": self.users}
        golden["scores"] = _scores(OnnxRanker(self.spec, self.graph), **golden)
        return {
            RANKER_FILE: self.graph,
            RANKER_GOLDEN_FILE: encode_npz(golden),
            RANKER_ITEMS_FILE: encode_npz(vars(self.items)),
        }


def open_ranker(
    spec: RankerSpec, contents: Mapping[str, bytes], *, items: int, dim: int
) -> tuple[OnnxRanker, RankerItems]:
    """The ranker in the files of a bundle with `items` vectors of `dim`, tried out.

    Raises `ValueError` where a file cannot be read, or the scores of the golden pool are not those
    that are recorded.
    """
    ranker = OnnxRanker(spec, contents[RANKER_FILE])
    golden = decode_npz(contents[RANKER_GOLDEN_FILE], GOLDEN_DTYPES)
    users, candidates, expected = golden["users"], golden["candidates"], golden["scores"]
    expect_shape("users", users, -1, len(spec.user_features))
    expect_shape("candidates", candidates, len(users), -1, len(spec.features))
    expect_shape("scores", expected, len(users), candidates.shape[1])
    # Written so that a NaN, which compares false, is a mismatch.
    scores = _scores(ranker, candidates, users)
    close = np.abs(scores - expected) <= TOLERANCE * (1 + np.abs(expected))
    if not close.size or not close.all():
        raise ValueError("scores of the golden pool differ from the recorded ones")
    known = RankerItems(**decode_npz(contents[RANKER_ITEMS_FILE], ITEMS_DTYPES))
    expect_shape("first_ms", known.first_ms, items if FRESHNESS in spec.features else 0)
    expect_shape("texts", known.texts, items if TEXT_SIMILARITY in spec.features else 0, dim)
    if not np.isfinite(known.texts).all():
        raise ValueError("texts hold values that are not finite")
    return ranker, known


def _scores(ranker: Ranker, candidates: Floats, users: Floats) -> Floats:
    nothing = np.zeros(candidates.shape[:2], np.int32)
    return ranker.score(Features(candidates, users, nothing, nothing == 0))


def check_ranker_listed(spec: RankerSpec | None, files: Collection[str]) -> None:
    """Raise `ValueError` unless the files of a ranker are listed exactly when there is one."""
    for name in RANKER_FILES:
        if (spec is None) == (name in files):
            raise ValueError(
                f"has a ranker, but lists no {name}" if spec else f"lists {name}, but has no ranker"
            )
