"""Reasons: what a score is made of, which past events carried it, and a sentence about it."""

from stream_app.reasons.explainer import Explainer
from stream_app.reasons.message import explained
from stream_app.reasons.result import Cause, ExplainedItem, Explanation, Part, RuleEffect, Status
from stream_app.reasons.sentences import Sentences, languages
from stream_app.reasons.steps import Steps, finished

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
