"""The topics beside its sources that an engine is given where no broker has a prefix for them."""

from __future__ import annotations

ENGINE_TOPICS = {
    "changelog": "changelog",
    "recommendations": "recommendations",
    "dead_letters": "dead-letters",
    "erasures": "erasures",
    "receipts": "erasure-receipts",
    "requests": "recommendation-requests",
    "decisions": "decisions",
    "profiles": "profiles",
}
