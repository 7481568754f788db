"""What a user must not be shown."""

from stream_app.ranking.filters.bought import Bought
from stream_app.ranking.filters.clicked import Clicked
from stream_app.ranking.filters.excluded import Excluded

__all__ = ["Bought", "Clicked", "Excluded"]
