"""What the evaluation raises."""

from __future__ import annotations

from stream_app.errors import UserError


class EvaluationError(UserError):
    """An evaluation cannot be done as asked; the message says why and what to do."""
