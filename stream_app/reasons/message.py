"""Explanations as they travel with an answer."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas import EventCause, ItemExplanation, RankedItem, ScorePart
from stream_app.reasons.result import Explanation


def explained(items: Sequence[RankedItem], explanation: Explanation) -> tuple[RankedItem, ...]:
    """The items of a list with what was found of each, in the same order."""
    return tuple(
        msgspec.structs.replace(
            item,
            explanation=ItemExplanation(
                tuple(
                    ScorePart(part.scorer, part.score, part.lift, part.share)
                    for part in found.parts
                ),
                tuple(
                    EventCause(cause.item_id, cause.action, cause.timestamp_ms, cause.contribution)
                    for cause in found.causes
                ),
            ),
        )
        for item, found in zip(items, explanation.items, strict=True)
    )
