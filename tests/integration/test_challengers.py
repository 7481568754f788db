"""Two releases in one worker, each for an arm of an experiment, on a real Kafka."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from schemas import Click
from stream_app.cli.experiment import command
from stream_app.experiments import Split
from stream_app.experiments.written import parse
from tests.integration.conftest import BUNDLE
from tests.integration.shop import figure
from tests.integration.topics import lists, send, states, wait_for

NOW = 1_700_000_000_000
USERS = [f"user-{number}" for number in range(40)]
OTHER = "movielens-small@0.1.0-b"
MODEL = {
    "name": "model",
    "arms": [
        {"name": "old", "share": 0.5},
        {"name": "new", "share": 0.5, "release": OTHER},
    ],
}


def other_release(folder: Path) -> str:
    """The same release under another version."""
    bundle = folder / "other"
    shutil.copytree(BUNDLE, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["version"] = "0.1.0-b"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return str(bundle)


def test_arms_are_served_by_their_releases(settings, start_worker, tmp_path: Path) -> None:
    two = replace(settings, challengers=other_release(tmp_path))
    worker = start_worker(two).wait_until_ready()
    file = tmp_path / "model.json"
    file.write_text(json.dumps(MODEL))
    runner = CliRunner(env=settings.environment())
    assert runner.invoke(command, ["put", str(file)], catch_exceptions=False).exit_code == 0
    in_force = 'stream_app_control_in_force{topic="experiments"}'
    wait_for(lambda: figure(worker, in_force) == 1, "the experiment")
    send(settings, [Click(user_id=user, item_id="318", timestamp_ms=NOW) for user in USERS])
    wait_for(lambda: len({made.user_id for made in lists(settings)}) == len(USERS), "lists")
    assigned = Split([parse(MODEL, {}, 0)]).assign(USERS)
    arms = {user: one.own for user, one in zip(USERS, assigned, strict=True)}
    rows = states(settings)
    assert set(arms.values()) == {"old", "new"}
    for made in lists(settings):
        release = f"{made.model.name}@{made.model.version}"
        assert (made.experiment.arm, release == OTHER) == (
            arms[made.user_id], arms[made.user_id] == "new",
        )  # fmt: skip
        assert rows[made.user_id].release == release
        assert len(made.items) == 10
    assert worker.terminate() == 0
