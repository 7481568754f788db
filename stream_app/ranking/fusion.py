"""How a release's learned ranker is put into a pipeline, with what it asks about items."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.bundle import Bundle
from stream_app.bundle.ranker import Ranker
from stream_app.catalog import ItemTable
from stream_app.ranking.features import FeatureMaker, Known
from stream_app.ranking.live.first_seen import FirstSeen
from stream_app.ranking.live.trends import TrendStore
from stream_app.ranking.pipeline import Weighted
from stream_app.ranking.scorers import Learned
from stream_app.ranking.stages import Scorer
from stream_app.ranking.text_parts import TextParts


def first_seen(bundle: Bundle) -> FirstSeen | None:
    """Since when the items are known, if the ranker asks for it."""
    asked = bundle.ranker_items
    if asked is None or not len(asked.first_ms):
        return None
    return FirstSeen(asked.first_ms, bundle.manifest.data.until_ms)


def learned(
    bundle: Bundle,
    ranker: Ranker,
    scorers: Mapping[str, Scorer],
    *,
    trends: TrendStore,
    items: ItemTable,
    since: FirstSeen | None,
) -> Weighted:
    """The ranker as a scorer; `scorers` are those whose score is a feature, by its name."""
    asked, catalog = bundle.ranker_items, bundle.catalog
    texts = TextParts(asked.texts, catalog) if asked is not None and len(asked.texts) else None
    known = Known(catalog, trends, scorers, items, since, texts)
    return Weighted(1.0, Learned(ranker, FeatureMaker(ranker.spec, known)))
