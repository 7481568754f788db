"""Experiments: users dealt to arms, arms compared, and an arm that does harm switched off."""

from stream_app.experiments.running import MAX_RUNNING, Experiments, is_running
from stream_app.experiments.split import Assigned, Split, points

__all__ = ["MAX_RUNNING", "Assigned", "Experiments", "Split", "is_running", "points"]
