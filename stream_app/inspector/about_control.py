"""What operators say, as the page shows it: rules, scenarios and experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from schemas import ExperimentSpec, control_of
from stream_app.experiments import is_running
from stream_app.inspector.figures import Figures
from stream_app.reasons.rules import value_of
from stream_app.releases import Releases
from stream_app.rules import LiveRule
from stream_app.scenarios import Served

Shown = dict[str, Any]


def about_control(releases: Releases, figures: Figures) -> Shown:
    """All of it, as the main release has it. For the engine's thread."""
    main = releases.main
    said, now_ms = main.treatments, main.now()
    counted = figures.rules()
    size = len(main.bundle.catalog)
    rules = [_rule(one, "in force", size, counted) for one in said.rules.in_force]
    rules += [_rule(one, "coming", size, counted) for one in said.rules.coming]
    rules = [_refused(one, said.rules.refused) for one in rules]
    known = {one["rule_id"] for one in rules}
    rules += [
        {**dict.fromkeys(_RULE), "rule_id": rule_id, "scenarios": (), "state": "refused",
         "refused": why}
        for rule_id, why in said.rules.refused.items()
        if rule_id not in known
    ]  # fmt: skip
    scenarios = {name: _scenario(name, one) for name, one in said.scenarios.all().items()}
    for name, why in said.scenarios.refused.items():
        scenarios.setdefault(name, {**dict.fromkeys(_SCENARIO), "name": name})["refused"] = why
    lists = figures.arms()
    specs = sorted(said.experiments.all(), key=lambda one: one.name)
    return {
        "rules": rules,
        "scenarios": list(scenarios.values()),
        "experiments": [_experiment(one, now_ms, lists) for one in specs],
    }


_RULE = (
    *("rule_id", "kind", "value", "what", "when", "scenarios", "from_ms", "until_ms", "priority"),
    *("state", "refused", "items", "lists", "places"),
)
_SCENARIO = ("name", "filters", "categories", "weights", "sources", "exploration", "refused")


def _rule(one: LiveRule, state: str, size: int, counted: Mapping[str, tuple[int, int]]) -> Shown:
    rule = one.rule
    lists, places = counted.get(rule.rule_id, (None, None))
    return {
        "rule_id": rule.rule_id,
        "kind": one.effect,
        "value": value_of(one),
        "what": rule.items,
        "when": rule.when,
        "scenarios": rule.scenarios,
        "from_ms": rule.from_ms,
        "until_ms": rule.until_ms,
        "priority": rule.priority,
        "state": state,
        "refused": None,
        "items": int(np.count_nonzero(one.mask(size))),
        "lists": lists,
        "places": places,
    }


def _refused(shown: Shown, refused: Mapping[str, str]) -> Shown:
    """One in force may have a newer record that is not."""
    return {**shown, "refused": refused.get(shown["rule_id"])}


def _scenario(name: str, one: Served) -> Shown:
    plan = one.plan
    return {
        "name": name,
        "filters": plan.filters,
        "categories": one.categories,
        "weights": dict(plan.weights),
        "sources": dict(plan.sources),
        "exploration": plan.exploration,
        "refused": None,
    }


def _experiment(spec: ExperimentSpec, now_ms: int, lists: Mapping[tuple[str, str], int]) -> Shown:
    ended = spec.until_ms is not None and spec.until_ms <= now_ms
    state = "running" if is_running(spec, now_ms) else "ended" if ended else "waiting"
    return {
        "experiment_id": spec.name,
        "state": state,
        "from_ms": spec.from_ms,
        "until_ms": spec.until_ms,
        "share": spec.share,
        "control": control_of(spec),
        "arms": [
            {
                "name": arm.name,
                "share": arm.share,
                "scenario": arm.scenario,
                "release": arm.release,
                "off": arm.name in spec.off,
                "lists": lists.get((spec.name, arm.name), 0),
            }
            for arm in spec.arms
        ],
    }
