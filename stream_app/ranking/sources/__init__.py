"""Where candidates come from."""

from stream_app.ranking.sources.new import New
from stream_app.ranking.sources.personal import Personal
from stream_app.ranking.sources.pinned import Pinned
from stream_app.ranking.sources.popular import Popular
from stream_app.ranking.sources.profile import Profile
from stream_app.ranking.sources.related import Related
from stream_app.ranking.sources.similar import Similar
from stream_app.ranking.sources.transitions import Transitions
from stream_app.ranking.sources.trending import Trending

__all__ = [
    "New",
    "Personal",
    "Pinned",
    "Popular",
    "Profile",
    "Related",
    "Similar",
    "Transitions",
    "Trending",
]
