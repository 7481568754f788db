"""A worker serves as its settings say, or says what is wrong with them before it reads anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample_bundle import bundle_parts

from schemas.messages import Click
from stream_app.bundle import ActionHead, BundleError, write_bundle
from stream_app.bundle.action_head import ACTION_HEAD_FILE, encode_action_head
from stream_app.errors import UserError
from stream_app.serving import serving
from stream_app.settings import Settings, SettingsError
from stream_app.users import ACTIONS, FEATURES

DIM = 8


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with an action head that expects a purchase where an item's first entry is high."""
    path = tmp_path_factory.mktemp("release") / "bundle"
    weight = np.zeros((3 * DIM, len(ACTIONS)), np.float32)
    weight[DIM, ACTIONS.index("purchase")] = 9
    head = ActionHead(weight, np.zeros(len(ACTIONS), np.float32))
    parts = bundle_parts(features=FEATURES, dim=DIM)
    write_bundle(path, **parts, optional={ACTION_HEAD_FILE: encode_action_head(head)})
    return path


def listed(bundle: Path, **settings: object) -> list[str]:
    """The list after one click, by a worker with these settings."""
    made = serving(
        Settings.load({"bundle": str(bundle), "backend": "onnxruntime", **settings}, environment={})
    )
    lists = made.recommend([Click(user_id="ann", item_id="item-1", timestamp_ms=2_000)])
    return [item.item_id for item in lists[0].items]


@pytest.mark.parametrize(
    "objective",
    [{"diversity": 50}, {"popularity_discount": 1}, {"action_values": "purchase=1e6"}],
)
def test_each_objective_reaches_the_lists(bundle: Path, objective: dict[str, object]) -> None:
    plain = listed(bundle)
    assert listed(bundle, diversity=0, popularity_discount=0, action_values="") == plain
    changed = listed(bundle, **objective)
    assert len(set(changed)) == len(plain) == 10
    assert changed != plain


def test_what_a_worker_cannot_serve_with_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no bundle given: pass --bundle DIR"):
        serving(Settings())
    write_bundle(tmp_path / "bundle", **bundle_parts(features=FEATURES))
    with pytest.raises(UserError, match="the bundle has no action head"):
        listed(tmp_path / "bundle", action_values="purchase=2")


def test_a_damaged_action_head_is_named(tmp_path: Path) -> None:
    parts = bundle_parts(features=FEATURES)
    with pytest.raises(BundleError, match=r"bundle: action_head.npz: .*stream-app train"):
        write_bundle(tmp_path / "bundle", **parts, optional={ACTION_HEAD_FILE: b"no archive"})
    head = ActionHead(np.zeros((3 * DIM - 3, len(ACTIONS)), np.float32), np.zeros(6, np.float32))
    with pytest.raises(BundleError, match=r"action_head.npz: weight"):
        write_bundle(
            tmp_path / "bundle", **parts, optional={ACTION_HEAD_FILE: encode_action_head(head)}
        )
