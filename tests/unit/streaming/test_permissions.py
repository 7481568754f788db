"""What `doctor` asks the brokers for is what the documents tell operators to grant."""

from __future__ import annotations

import re
from pathlib import Path

from stream_app.settings import Settings
from stream_app.streaming.permissions import WRITE, Right, worker_rights

DOCUMENT = Path(__file__).parents[3] / "docs" / "security.md"


def test_a_worker_needs_the_rights_of_the_table() -> None:
    settings = Settings(topic_prefix="<prefix>", app_id="<app>", filters="shown", decisions=0.1)
    rows = re.findall(r"^\| worker \| (\w+) \| (\w+) `(.+)` \|$", DOCUMENT.read_text(), re.M)
    assert {
        (right.operation.name.capitalize(), right.kind, right.name)
        for right in worker_rights(settings)
    } == set(rows)


def test_no_right_is_asked_for_on_topics_that_are_not_used() -> None:
    names = {right.name for right in worker_rights(Settings())}
    assert "impressions" not in names
    assert "decisions" not in names
    assert all(isinstance(right, Right) for right in worker_rights(Settings()))


def test_an_inspector_that_sends_events_needs_to_write_them() -> None:
    def written(settings: Settings) -> set[str]:
        rights = worker_rights(settings)
        return {right.name for right in rights if right.operation is WRITE}

    watched = written(Settings(inspector_port=8090))
    assert watched == written(Settings())
    sending = written(Settings(inspector_port=8090, inspector_writes=True))
    assert sending - watched == {"clicks", "purchases"}
