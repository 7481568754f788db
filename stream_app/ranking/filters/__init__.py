"""What a user must not be shown."""

from stream_app.ranking.filters.bought import Bought
from stream_app.ranking.filters.clicked import Clicked
from stream_app.ranking.filters.excluded import Excluded
from stream_app.ranking.filters.served import Served
from stream_app.ranking.filters.shown import Shown

__all__ = ["Bought", "Clicked", "Excluded", "Served", "Shown"]
