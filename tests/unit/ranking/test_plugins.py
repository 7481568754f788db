"""The example of the documentation as an installed distribution, and what plug-ins do wrong."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from ranked_users import one_user
from small_release import DIM, small_release

from schemas import Click, Scenario
from stream_app.errors import UserError
from stream_app.plan import Plan, named
from stream_app.ranking import LiveStores, build_pipeline
from stream_app.recommender import Recommender

PAGE = Path(__file__).parents[3] / "docs" / "sources.md"


def installed(folder: Path, points: dict[str, str], distribution: str = "shop") -> None:
    """A distribution as an installer leaves it: metadata with entry points."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[stream_app.sources]", *lines]) + "\n")


def page_block(heading: str, language: str) -> str:
    """The first block in a language under a heading of the page."""
    section = PAGE.read_text().split(f"## {heading}\n")[1]
    found = re.search(rf"^```{language}\n(.*?)^```", section, re.M | re.S)
    assert found
    return found[1]


def test_the_example_of_the_documentation_works(tmp_path: Path, monkeypatch) -> None:
    project = tomllib.loads(page_block("A source of your own", "toml"))["project"]
    (tmp_path / "shop_season.py").write_text(page_block("A source of your own", "python"))
    installed(tmp_path, project["entry-points"]["stream_app.sources"])
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "season.txt").write_text("item-3\nitem-9 never-heard-of item-3\n")
    monkeypatch.setenv("SEASON_FILE", str(tmp_path / "season.txt"))
    recommender = Recommender(small_release(40), k=39, plan=Plan(sources=named({"season": 20})))
    (made,) = recommender.recommend([Click(user_id="ann", item_id="item-1", timestamp_ms=0)])
    by_season = {item.item_id for item in made.items if "season" in item.sources}
    assert by_season == {"item-3", "item-9"}
    assert len({item.item_id for item in made.items}) == 39
    scenarios = recommender.treatments.scenarios
    scenarios.put("default", Scenario(name="default", sources={"season": 0}))
    (made,) = recommender.recommend([Click(user_id="ann", item_id="item-2", timestamp_ms=1)])
    assert not any("season" in item.sources for item in made.items)


def test_the_lists_of_the_documentation_are_those_that_are_made(capsys, monkeypatch) -> None:
    monkeypatch.chdir(PAGE.parents[1])
    names: dict[str, object] = {}
    exec(page_block("Related items", "python"), names)
    lines = capsys.readouterr().out.splitlines()
    assert lines[6].split()[::2][:2] == ["7", "4886"]
    assert "'trending', 'related'" in lines[6]
    assert lines[8].split()[2] == "2355"
    exec(page_block("New arrivals", "python"), names)
    assert capsys.readouterr().out == page_block("New arrivals", "text")


MODULE = """
import numpy as np
from stream_app.ranking import Proposal

class Wrong:
    def __init__(self, context):
        self.most = context.most
    def propose(self, users):
        return [Proposal(self.items(users))]

class Raises(Wrong):
    def items(self, users):
        raise RuntimeError("no connection")

class Shape(Wrong):
    def items(self, users):
        return np.zeros(3, np.int32)

class Kind(Wrong):
    def items(self, users):
        return np.zeros((1, 3))

class Nowhere(Wrong):
    def items(self, users):
        return np.array([[5, 10**6, 5, -7, 6, 5]])

def none(context):
    return None

def broken(context):
    raise OSError("no file")
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "wrong_sources.py").write_text(MODULE)
    classes = ("Raises", "Shape", "Kind", "Nowhere", "none", "broken", "missing")
    installed(tmp_path, {name.lower(): f"wrong_sources:{name}" for name in classes})
    monkeypatch.syspath_prepend(tmp_path)


def listed(**sources: int) -> list[tuple[int, bool]]:
    """What a pipeline lists, and whether the source added last proposed it."""
    bundle = small_release(30)
    plan = Plan(sources=named(sources))
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=29, plan=plan)
    ranked = pipeline.rank(one_user(np.zeros(DIM, np.float32), [1]), {})
    bit = len(pipeline.sources) - 2
    marks = (ranked.sources[0] >> bit & 1).astype(bool)
    return list(zip(ranked.items[0].tolist(), marks.tolist(), strict=True))


@pytest.mark.parametrize("name", ["raises", "shape", "kind"])
def test_a_source_that_fails_proposes_nothing_and_says_so(
    shop, name: str, caplog, degraded_by
) -> None:
    usual = [item for item, _ in listed()]
    assert [item for item, _ in listed(**{name: 5})] == usual
    assert f"source '{name}' failed and proposes nothing" in caplog.text
    assert degraded_by() == {"source_failed": 1}


def test_items_that_do_not_exist_and_repetitions_are_left_out(shop) -> None:
    found = listed(nowhere=5)
    assert {item for item, mine in found if mine} == {5, 6}
    assert len({item for item, _ in found}) == 29


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none", "source 'none' cannot be made: .*has no method propose"),
        ("broken", "source 'broken' cannot be made: .*no file"),
        ("missing", "source 'missing', wrong_sources:missing, cannot be loaded"),
        ("nobody", "source 'nobody' is unknown; use some of: personal, .*broken, kind"),
    ],
)
def test_a_source_that_cannot_be_had_is_refused_with_the_reason(shop, name, why) -> None:
    with pytest.raises(UserError, match=why):
        listed(**{name: 5})


def test_a_name_of_two_distributions_is_refused(shop, tmp_path: Path) -> None:
    installed(tmp_path, {"raises": "other:Source"}, "other")
    with pytest.raises(UserError, match=r"'raises' is in two distributions.*uninstall one"):
        listed(raises=5)
