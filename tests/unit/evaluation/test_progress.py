"""A run shows how far it is, with rich and without."""

import sys

import pytest

from stream_app.evaluation.progress import (
    PlainProgress,
    Progress,
    RichProgress,
    make_progress,
)

HOSTILE = "[red]theirs[/red] [/]"


@pytest.mark.parametrize("made", [PlainProgress, RichProgress])
def test_stages_bars_and_tables_are_shown(
    made: type[PlainProgress], capsys: pytest.CaptureFixture[str]
) -> None:
    progress: Progress = made()
    progress.stage("learning")
    with progress.bar(40, "questions") as on_done:
        for done in range(1, 41):
            on_done(done)
    progress.table("figures", ["method", "ndcg@10"], [[HOSTILE, "0.1261"]])
    shown = capsys.readouterr().out
    assert "learning" in shown
    assert HOSTILE in shown  # as it is, no markup
    assert "0.1261" in shown


def test_plain_lines_for_a_bar_are_ten_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress().bar(95, "questions") as on_done:
        for done in range(1, 96):
            on_done(done)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[-1].strip() == "95 of 95 questions"


def test_rich_is_for_terminals_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(make_progress()) is PlainProgress
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert type(make_progress()) is RichProgress
    monkeypatch.setattr("stream_app.evaluation.progress.find_spec", lambda _: None)
    assert type(make_progress()) is PlainProgress
