"""What lists were made from, kept on a topic, and made again from there."""

from stream_app.decisions.record import decision_of, is_kept
from stream_app.decisions.replay import Replayed, replay

__all__ = ["Replayed", "decision_of", "is_kept", "replay"]
