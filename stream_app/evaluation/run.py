"""A whole evaluation: all methods are fitted and asked, then judged on the same questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_app.evaluation.alike import by_users
from stream_app.evaluation.bootstrap import LEVEL
from stream_app.evaluation.exchange import read_lists, write_lists
from stream_app.evaluation.judge import Judge
from stream_app.evaluation.lists import Lists, top_lists
from stream_app.evaluation.live import replayed_lists
from stream_app.evaluation.methods import Method
from stream_app.evaluation.progress import Progress
from stream_app.evaluation.protocols import Split
from stream_app.evaluation.replay import Lists as LiveLists
from stream_app.evaluation.result import MethodResult, Result, Setup


@dataclass(frozen=True)
class LiveMethod:
    """A method that learns from the stream of a replay; `make` warms it on the past."""

    name: str
    make: Callable[[Split], LiveLists]


@dataclass(frozen=True)
class Contest:
    """Who takes part in an evaluation, and how it is judged."""

    split: Split
    methods: Sequence[Method | LiveMethod]
    files: Mapping[str, Path] = field(default_factory=dict)
    """Lists from elsewhere, by name."""
    ks: Sequence[int] = (10,)
    """Lengths of lists; methods are compared at the first."""
    vectors: NDArray[np.float32] | None = None
    """`[N, d]`, unit length: what the diversity of a list is made from."""
    diversity_by: str = "users"
    seed: int = 0
    lists_to: Path | None = None
    """A directory for lists: those of a method, `NAME.jsonl`, once it has answered."""


@dataclass
class _Answer:
    """What a method came to."""

    lists: Lists
    fit_seconds: float | None = None
    list_seconds: float | None = None
    note: str = ""


def run(contest: Contest, progress: Progress) -> Result:
    """Fit, ask and judge; raises `EvaluationError`, and what the methods raise."""
    split, k = contest.split, max(contest.ks)
    answers = {name: _Answer(read_lists(path, split, k)) for name, path in contest.files.items()}
    for method in contest.methods:
        if not isinstance(method, LiveMethod):
            answers[method.name] = _ask(method, split, k, progress)
            _keep(contest, method.name, answers[method.name])
    live = [method for method in contest.methods if isinstance(method, LiveMethod)]
    if live:
        answers |= _replay(live, split, k, progress)
        for method in live:
            _keep(contest, method.name, answers[method.name])
    order = [*(method.name for method in contest.methods), *contest.files]
    return _judge(contest, {name: answers[name] for name in order}, progress)


def _keep(contest: Contest, name: str, answer: _Answer) -> None:
    if contest.lists_to is not None:
        write_lists(answer.lists, contest.split, contest.lists_to / f"{name}.jsonl")


def _ask(method: Method, split: Split, k: int, progress: Progress) -> _Answer:
    progress.stage(f"{method.name}: learning from {len(split.past):,} events")
    began = time.monotonic()
    method.fit(split)
    fitted = time.monotonic()
    with progress.bar(len(split.test), "questions") as on_done:
        lists = top_lists(method, split.test.histories, k, repeats=split.repeats, on_done=on_done)
    note = "learned nothing from the stream" if split.stream is not None else ""
    return _Answer(lists, fitted - began, time.monotonic() - fitted, note)


def _replay(
    methods: Sequence[LiveMethod], split: Split, k: int, progress: Progress
) -> dict[str, _Answer]:
    made, seconds = {}, {}
    for method in methods:
        progress.stage(f"{method.name}: learning from {len(split.past):,} events")
        began = time.monotonic()
        made[method.name] = method.make(split)
        seconds[method.name] = time.monotonic() - began
    events = len(split.stream) if split.stream is not None else 0
    progress.stage(f"Replaying {events:,} events through {', '.join(made)}")
    with progress.bar(events, "events") as on_event:
        lists = replayed_lists(split, made, k, on_event)
    return {name: _Answer(lists[name], seconds[name]) for name in made}


def _judge(contest: Contest, answers: Mapping[str, _Answer], progress: Progress) -> Result:
    split = contest.split
    progress.stage(f"Judging {len(answers)} methods on {len(split.test):,} questions")
    vectors = contest.vectors
    if vectors is None:
        vectors = by_users(split.past, contest.seed)
    judge = Judge(split, vectors, contest.ks, contest.seed)
    for name, answer in answers.items():
        judge.add(name, answer.lists)
    figures, differences = judge.figures()
    methods = [
        MethodResult(name, figures[name], one.fit_seconds, one.list_seconds, one.note)
        for name, one in answers.items()
    ]
    return Result(_setup(contest, judge.replicates), judge.scopes(), methods, differences)


def _setup(contest: Contest, replicates: int) -> Setup:
    split = contest.split
    return Setup(
        source=split.table.source,
        protocol=split.protocol,
        repeats=split.repeats,
        k=list(contest.ks),
        seed=contest.seed,
        events=len(split.table),
        users=len(np.unique(split.table.users)),
        items=len(split.table.item_ids),
        train_events=len(split.train),
        validation_events=len(split.past) - len(split.train),
        replicates=replicates,
        level=LEVEL,
        diversity_by=contest.diversity_by,
    )
