"""A whole training run: from a table of events to a measured bundle.

1. The last part of the training window is set aside. Training on the rest finds how many epochs
   are enough; replays of the part set aside find the half-life and the ranking weights.
2. With these settings fixed, the model is trained again on the whole window: the newest events
   matter most to a recommender.
3. Where events were held out behind the window, a replay of them is the honest figure: nothing
   was chosen on them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas import Item
from stream_app.bundle import Manifest, RankingWeights, load_bundle
from stream_app.bundle.ranker import FEATURES
from stream_app.datasets import EventTable
from stream_app.evaluation import (
    BaselineLists,
    DecayedPopularity,
    Lists,
    Popularity,
    RecommenderLists,
    Scoreboard,
    TransitionCounts,
    past_rows,
    replay,
    tune_half_life,
    users_of,
)
from stream_app.evaluation.baselines import DAY_MS
from stream_app.evaluation.encoder import encoder_score
from stream_app.recommender import Recommender
from stream_app.training.choice import fit_best_kind
from stream_app.training.config import TrainingConfig, TrainingError
from stream_app.training.fit import fit
from stream_app.training.learner import Learner
from stream_app.training.pools import Pools, collect_pools
from stream_app.training.priors import count_priors
from stream_app.training.ranker import NO_RANKER, FittedRanker, check_kind, fit_ranker
from stream_app.training.ranking import fit_ranking, with_ranking
from stream_app.training.release import Label, Release, catalog_places, ranker_items
from stream_app.training.report import Report
from stream_app.training.texts import ItemTexts
from stream_app.training.validation import validator

Metrics = dict[str, float | dict[str, float]]

METHOD = "stream-app"
HALF_LIFE_EVENTS = 20_000  # validation events on which the half-life of popularity is chosen
HELD_OUT_EVENTS = 25_000  # of more events held out, the lists of a sample of users are judged
RANKER_EVENTS = 30_000
"""A ranker learns from the lists of users who have about so many validation events: it has some
hundred weights, and a list is a kilobyte or ten."""
REPLAYED_EVENTS = 200_000
"""Most events of a period that are replayed: the recommender does about 1,000 a second, and the
rows of their users are what a replay needs memory for."""
SMALLEST_WINDOW = 50  # events; below it neither a model nor a comparison means anything


@dataclass(frozen=True)
class Job:
    """What to train, on what, and where to put it."""

    table: EventTable
    out: Path
    label: Label
    config: TrainingConfig = field(default_factory=TrainingConfig)
    train_fraction: float = 1.0
    """Share of the events, by time, that may be learned from; the rest is held out."""
    validation_fraction: float = 0.2
    """Share of the training window on which settings are chosen."""
    sampled_events: int = 4_000
    """About so many validation events are scored per setting, those of a sample of users."""
    replace: bool = False
    checkpoint: Path | None = None
    """Progress of the training that finds the settings; beside it, with `.final` appended to its
    name, that of the training on the whole window."""
    texts: ItemTexts | None = None
    """What the items' texts say: then new items can be given a vector."""
    items: tuple[Item, ...] = ()
    """What producers say of items, for the features of a ranker."""

    @property
    def final_checkpoint(self) -> Path | None:
        """Where the progress of the second training is kept."""
        path = self.checkpoint
        return None if path is None else path.with_name(path.name + ".final")

    @property
    def text_rows(self) -> NDArray[np.float32] | None:
        """Text vectors `[items of the table, t]`, if there are texts."""
        return self.texts.rows(self.table.item_ids) if self.texts is not None else None


@dataclass(frozen=True)
class Settings:
    """What the validation part decides."""

    config: TrainingConfig
    epochs: int
    ranking: RankingWeights
    ranker: FittedRanker | None = None
    pools: Pools | None = None
    """What the ranker learned from."""


def run(job: Job, report: Report) -> Manifest:
    """Train, measure, and write the bundle; raises `TrainingError` and `BundleError`."""
    if job.out.exists() and not job.replace:
        raise TrainingError(f"{job.out} exists; choose another --out, or pass --replace")
    check_kind(job.config.ranker)
    window, held_out = job.table.split(job.train_fraction)
    past, recent = window.split(1 - job.validation_fraction)
    if min(len(past), len(recent)) < SMALLEST_WINDOW:
        raise TrainingError(
            f"{job.table.source}: {len(window)} events to train on are too few; give more data, "
            "or a larger --train-fraction"
        )
    with tempfile.TemporaryDirectory() as scratch:
        settings, metrics = choose(job, past, recent, window, Path(scratch), report)
        report.stage(f"Training on all {len(window):,} events for {settings.epochs} epochs")
        learner, _ = fit(
            window,
            settings.config,
            texts=job.text_rows,
            stop_after=settings.epochs,
            on_epoch=report.epoch,
            checkpoint=job.final_checkpoint,
            on_resume=report.resumed,
        )
        report.stage("Exporting")
        release = Release.of(learner, window, settings.ranking, job.texts, settings.ranker)
        if len(held_out):
            draft = Path(scratch) / "draft"
            release.write(draft, job.label)
            metrics |= _measure_held_out(job, draft, window, held_out, settings, report)
    manifest = release.write(job.out, job.label, metrics, replace=job.replace)
    report.stage(f"Wrote {manifest.release} to {job.out}")
    return manifest


def choose(
    job: Job,
    past: EventTable,
    recent: EventTable,
    window: EventTable,
    scratch: Path,
    report: Report,
) -> tuple[Settings, Metrics]:
    """Find the settings on `recent`, and measure them there beside the baselines."""
    report.stage(f"Training on {len(past):,} events, validating on the {len(recent):,} after them")
    learner, best = fit_best_kind(
        past,
        job.config,
        texts=job.text_rows,
        validate=validator(window, int(recent.timestamps_ms[0]), window=job.config.window),
        on_epoch=report.epoch,
        checkpoint=job.checkpoint,
        on_resume=report.resumed,
        on_kind=lambda kind, epoch: report.note(
            f"{kind}: validation NDCG@10 {epoch.ndcg:.4f} after {epoch.number} epochs"
        ),
    )
    report.stage(f"Best after {best.number} epochs; choosing the ranking weights")
    recent = recent.part(0, REPLAYED_EVENTS)
    scored = _sample_users(recent, job.sampled_events, job.config.seed)
    # Counting is cheap: the opponent is tuned on more users than the ranking weights are.
    many = _sample_users(recent, HALF_LIFE_EVENTS, job.config.seed)
    half_life_days = tune_half_life(past, recent, scored=many) / DAY_MS
    report.note(f"half-life of popularity: {half_life_days:g} days")
    trial = scratch / "trial"
    start = RankingWeights(temperature=job.config.temperature, trend_half_life_days=half_life_days)
    release = Release.of(learner, past, start, job.texts)
    release.write(trial, job.label)
    places = catalog_places(learner.vocabulary, past)
    ranking = fit_ranking(
        trial,
        past,
        recent,
        start,
        scored=scored,
        priors=lambda weights: count_priors(past, places, len(release.items), weights),
        on_result=lambda weights, ndcg: report.note(
            f"personal {weights.personal:g}, trending {weights.trending:g}, lags {weights.lags}"
            f"{' both ways' * weights.both_ways}, votes {weights.votes}: NDCG@10 {ndcg:.4f}"
        ),
    )
    metrics: Metrics = {"epochs": float(best.number), "half_life_days": half_life_days}
    if job.config.ranker == NO_RANKER:
        return Settings(learner.config, best.number, ranking), metrics
    report.stage("Collecting lists to train the ranker on")
    pools = _pools(job, trial, learner, past, recent, ranking)
    ranker = fit_ranker(pools, job.config.ranker, job.config.seed)
    metrics |= _compared(ranker, pools, report)
    return Settings(learner.config, best.number, ranking, ranker, pools), metrics


def _pools(
    job: Job,
    trial: Path,
    learner: Learner,
    past: EventTable,
    recent: EventTable,
    ranking: RankingWeights,
) -> Pools:
    """Pools of candidates of the release at `trial`, trained on `past`, for events after it."""
    places = catalog_places(learner.vocabulary, past)
    bundle = load_bundle(trial)
    ids = bundle.catalog.ids
    bundle = with_ranking(bundle, ranking, count_priors(past, places, len(ids), ranking))
    asked = ranker_items(past, places, ids, FEATURES, bundle.catalog.dim, bundle.text, job.texts)
    scored = _sample_users(recent, RANKER_EVENTS, job.config.seed)
    rows = past_rows(past.of_users_in(recent))
    return collect_pools(bundle, asked, rows, recent, scored, job.items)


def _compared(ranker: FittedRanker, pools: Pools, report: Report) -> Metrics:
    report.note(
        f"{ranker.kind} ranker from {len(pools):,} lists that held the next item, of "
        f"{len(pools) + pools.missed:,}; on the newest of them NDCG@10 {ranker.learned.ndcg:.4f}, "
        f"the weighted sum {ranker.summed.ndcg:.4f}"
    )
    return {"ranker": ranker.learned._asdict(), "ranker.weighted_sum": ranker.summed._asdict()}


def _measure_held_out(
    job: Job,
    bundle: Path,
    window: EventTable,
    held_out: EventTable,
    settings: Settings,
    report: Report,
) -> Metrics:
    """Replay the events behind the window through the new release and the baselines."""
    until = min(len(held_out), REPLAYED_EVENTS)
    report.stage(f"Replaying {until:,} of the {len(held_out):,} events held out")
    held_out = held_out.part(0, until)
    returning = window.of_users_in(held_out)
    loaded = load_bundle(bundle)
    alone = encoder_score(loaded, job.table.part(0, len(window) + until), len(window))
    sample = _sample_users(held_out, HELD_OUT_EVENTS, job.config.seed)
    methods: dict[str, Lists] = {
        METHOD: RecommenderLists(Recommender(loaded), past_rows(returning)),
        **{
            baseline.name: BaselineLists(baseline, window, scored=sample)
            for baseline in (
                TransitionCounts(),
                DecayedPopularity(settings.ranking.trend_half_life_ms),
                Popularity(),
            )
        },
    }
    with report.bar(len(held_out)) as on_event:
        boards = replay(held_out, methods, users_of(returning), scored=sample, on_event=on_event)
    report.table("Held out: every list against the user's next event", boards)
    report.note(f"The encoder alone: hit rate@10 {alone['hit_rate']:.4f}")
    return {"held_out.encoder": alone, **board_metrics("held_out", boards)}


def board_metrics(period: str, boards: Mapping[str, Scoreboard]) -> Metrics:
    """Scores as a manifest holds them: `period.method`, with the hit rates of both user groups."""
    return {
        f"{period}.{name}": {
            **board.all.asdict(),
            "hit_rate_returning": board.returning.hit_rate,
            "hit_rate_new": board.new.hit_rate,
        }
        for name, board in boards.items()
    }


def _sample_users(table: EventTable, events: int, seed: int) -> frozenset[str]:
    """Random users of `table` who have about `events` events together, at least one user."""
    users, counts = np.unique(table.users, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(users))
    enough = int(np.searchsorted(np.cumsum(counts[order]), events)) + 1  # past the end: all
    return frozenset(table.user_ids[user] for user in users[order[:enough]])
