"""What operators say of lists while workers run: pin, boost, bury, exclude, quotas."""

from stream_app.rules.book import BETWEEN_S, SLICE_S, RuleBook
from stream_app.rules.live import LiveRule, RuleError, Situation
from stream_app.rules.trace import touched, traces

__all__ = [
    "BETWEEN_S",
    "SLICE_S",
    "LiveRule",
    "RuleBook",
    "RuleError",
    "Situation",
    "touched",
    "traces",
]
