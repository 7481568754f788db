"""Groups, cold items, differences, and the files a result goes to."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from event_tables import table_of

from stream_app.evaluation.alike import by_categories, by_users
from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.judge import Judge, groups_of
from stream_app.evaluation.page import page, write_page
from stream_app.evaluation.progress import PlainProgress
from stream_app.evaluation.protocols import Split, time_split
from stream_app.evaluation.registry import make_baseline
from stream_app.evaluation.result import Result, read_json, write_json
from stream_app.evaluation.run import Contest, run

HOSTILE = "<script>alert('x')</script> & $\\frac{1}{0}$ _\"&amp;"

# Past: u and v on a, b, c. Test: u wants d, which is new, then c; n, a new user, wants b.
TABLE = table_of("u a", "v b", "v a", "u b", "v c", "w a", "n a", "u d", "u c", "n b")


def small_split() -> Split:
    return time_split(TABLE, test_share=0.4)


def contest(split: Split, **settings: object) -> Contest:
    methods = [
        make_baseline(name, split.protocol, k=3, seed=0, threads=1)
        for name in ("popular", "transitions")
    ]
    return Contest(split, methods, ks=(2, 3), **settings)  # type: ignore[arg-type]


def result_of(split: Split, **settings: object) -> Result:
    return run(contest(split, **settings), PlainProgress())


def test_groups_by_history_by_user_and_by_item() -> None:
    split = small_split()
    groups = {group.name: group for group in groups_of(split)}
    assert set(groups) == {"all", "history:1-4", "returning", "new", "warm", "cold"}
    ids, wanted = split.table.item_ids, split.test.targets
    assert [ids[item] for item in wanted[groups["cold"].targets]] == ["d"]
    assert [ids[item] for item in wanted[groups["new"].targets]] == ["b"]
    assert sorted(ids[item] for item in wanted[groups["returning"].targets]) == ["c", "d"]


def test_cold_items_are_judged_apart() -> None:
    split = small_split()
    lists = np.full((3, 1), split.table.item_ids.index("d"), np.int32)
    judge = Judge(split, by_users(split.past, 0), [1], bootstrap_seed=0)
    judge.add("always d", lists)
    figures = judge.figures()[0]["always d"]
    assert figures["cold"]["hr@1"].value == 1
    assert figures["warm"]["hr@1"].value == 0
    assert figures["all"]["hr@1"].value == pytest.approx(1 / 3)
    assert "novelty@1" not in figures["cold"]  # of lists, not of what was wanted


def test_a_question_with_cold_and_warm_targets_counts_in_both() -> None:
    split = time_split(TABLE, test_share=0.4, basket=True)
    ids = split.table.item_ids
    lists = np.array([[ids.index("d"), ids.index("c")]], np.int32)
    judge = Judge(split, by_users(split.past, 0), [1, 2], bootstrap_seed=0)
    judge.add("both", lists)
    figures = judge.figures()[0]["both"]
    assert figures["all"]["recall@1"].value == 0.5
    assert figures["all"]["ndcg@2"].value == 1
    assert figures["cold"]["recall@1"].value == 1
    assert figures["warm"]["recall@1"].value == 0
    assert figures["warm"]["mrr@2"].value == 0.5


def test_a_result_has_every_method_metric_and_difference() -> None:
    result = result_of(small_split())
    assert [one.name for one in result.methods] == ["popular", "transitions"]
    for metric in ("hr", "ndcg", "mrr", "recall", "novelty", "diversity", "coverage"):
        for k in (2, 3):
            assert result.value("popular", f"{metric}@{k}") is not None
    (ndcg, hr) = result.differences
    assert (ndcg.metric, hr.metric) == ("ndcg@2", "hr@2")
    values = [result.value(name, "ndcg@2") for name in ("popular", "transitions")]
    assert ndcg.difference.value == pytest.approx((values[0] or 0) - (values[1] or 0))


def test_the_same_seed_gives_the_same_result() -> None:
    first, second = (result_of(small_split(), seed=4) for _ in range(2))
    assert [one.figures for one in first.methods] == [one.figures for one in second.methods]
    assert first.differences == second.differences


def test_a_result_goes_to_json_and_back(tmp_path: Path) -> None:
    result = result_of(small_split())
    write_json(result, tmp_path / "result.json")
    assert read_json(tmp_path / "result.json") == result
    with pytest.raises(EvaluationError, match="cannot write"):
        write_json(result, tmp_path)
    (tmp_path / "other.json").write_text('{"setup": 3}')
    with pytest.raises(EvaluationError, match=r"other.json: not a result of stream-app evaluate"):
        read_json(tmp_path / "other.json")


class Checker(HTMLParser):
    """Collects tags and text, and insists that every tag is closed in its order."""

    VOID = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_well_formed_needs_nothing_and_runs_nothing(tmp_path: Path) -> None:
    split = small_split()
    lists = tmp_path / "lists.jsonl"
    lists.write_text('{"user_id": "n", "items": ["b"]}\n')
    result = result_of(split, files={HOSTILE: lists})
    text = page(result)
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    assert "script" not in checker.tags
    assert all(link.startswith("#") for link in checker.links)
    for method in result.methods:
        assert method.name in checker.text  # as it is, in tables and in plots
    for svg in text.split("<svg")[1:]:
        drawn = ET.fromstring("<svg" + svg[: svg.index("</svg>")] + "</svg>")
        assert any(HOSTILE in (element.text or "") for element in drawn.iter())


def test_the_page_is_the_same_for_the_same_result(tmp_path: Path) -> None:
    result = result_of(small_split())
    write_page(result, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page(result)
    with pytest.raises(EvaluationError, match="cannot write"):
        write_page(result, tmp_path)


def test_vectors_of_categories_and_of_users() -> None:
    vectors = by_categories(["a", "b", "c"], {"a": ["x", "y"], "b": ["y"]})
    assert vectors @ vectors.T == pytest.approx(
        np.array([[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 0]]), abs=1e-6
    )
    events = [f"u{user} {item}" for user in range(60) for item in ("ab" if user % 2 else "c")]
    table = table_of(*events)
    vectors = by_users(table, seed=0)
    a, b, c = (vectors[table.item_ids.index(item)] for item in "abc")
    assert a @ b == pytest.approx(1, abs=1e-6)  # the same users had both
    assert abs(a @ c) < 0.4  # nobody had both: 0, give or take the projection
