"""Reasons: what a score is made of, which past events carried it, and a sentence about it."""

from stream_app.reasons.explainer import Explainer, Steps, finished
from stream_app.reasons.message import explained
from stream_app.reasons.result import Cause, ExplainedItem, Explanation, Part, RuleEffect, Status
from stream_app.reasons.sentences import Sentences, languages

__all__ = [
    "Cause",
    "ExplainedItem",
    "Explainer",
    "Explanation",
    "Part",
    "RuleEffect",
    "Sentences",
    "Status",
    "Steps",
    "explained",
    "finished",
    "languages",
]
