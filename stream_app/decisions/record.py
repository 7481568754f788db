"""A decision as a message."""

from __future__ import annotations

import msgspec
import numpy as np

from schemas import Decision, Pin, Recommendation
from stream_app.bundle import Bundle
from stream_app.listing import Basis
from stream_app.ranking import Terms
from stream_app.ranking.batch import NONE, Indices
from stream_app.treatments import Asking
from stream_app.users.codec import encode_state

_OF_ID = 1 << 32


def is_kept(rec_id: str, share: float) -> bool:
    """Whether the decision of a list is kept when a `share` of all is; the same wherever asked."""
    return share > 0 and int(rec_id[:8], 16) < share * _OF_ID


def decision_of(made: Recommendation, asking: Asking, basis: Basis, bundle: Bundle) -> Decision:
    """What `made` was made from, for a user who was `asking`."""
    ids, evidence = bundle.catalog.ids, basis.evidence
    items = evidence.items.tolist()
    treatment = basis.treatment
    return Decision(
        rec_id=made.rec_id,
        user_id=made.user_id,
        made_ms=made.generated_at_ms,
        release=bundle.release,
        row=encode_state(asking.state),
        plan=msgspec.json.encode(treatment.plan).decode(),
        length=basis.pipeline.k,
        request=asking.request,
        items=tuple(ids[item] for item in items),
        sources=tuple(source.name for source in basis.pipeline.sources),
        proposed=evidence.proposed.astype("<u2").tobytes(),
        scorers=evidence.scorers,
        parts=evidence.parts.astype("<f4").tobytes(),
        causes=tuple("" if cause == NONE else ids[cause] for cause in basis.causes.tolist()),
        vectors=_vectors(bundle, evidence.items),
        pins=tuple(
            Pin(pin.place + 1, tuple(ids[item] for item in pin.items.tolist()))
            for pin in treatment.terms.pins
        ),
        quotas=_quotas(treatment.terms, evidence.items),
        experiment=treatment.experiment,
        degraded=made.degraded,
    )


def _vectors(bundle: Bundle, items: Indices) -> dict[str, bytes]:
    """Vectors of items that the release does not have, which no bundle can give back."""
    catalog = bundle.catalog
    joined = items[items >= len(bundle.priors.popularity)]
    return {
        catalog.ids[item]: catalog.vectors[item].astype("<f4").tobytes()
        for item in joined.tolist()
        if catalog.has_vector[item]
    }


def _quotas(terms: Terms, items: Indices) -> tuple[tuple[int, bytes], ...]:
    return tuple(
        (quota.at_most, quota.items.take(items).astype(np.uint8).tobytes())
        for quota in terms.quotas
    )
