"""Model releases: a directory that is verified as a whole before any of it serves."""

from stream_app.bundle.action_head import ActionHead
from stream_app.bundle.files import BundleError
from stream_app.bundle.golden import GoldenHistory
from stream_app.bundle.load import Bundle, load_bundle
from stream_app.bundle.manifest import DataWindow, Manifest, RankingWeights
from stream_app.bundle.priors import FANOUT, Priors
from stream_app.bundle.text import TextProjector, TextSpec
from stream_app.bundle.write import write_bundle

__all__ = [
    "FANOUT",
    "ActionHead",
    "Bundle",
    "BundleError",
    "DataWindow",
    "GoldenHistory",
    "Manifest",
    "Priors",
    "RankingWeights",
    "TextProjector",
    "TextSpec",
    "load_bundle",
    "write_bundle",
]
