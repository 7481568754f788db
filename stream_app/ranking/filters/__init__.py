"""What a user must not be shown."""

from stream_app.ranking.filters.bought import Bought
from stream_app.ranking.filters.clicked import Clicked

__all__ = ["Bought", "Clicked"]
