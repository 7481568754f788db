"""Recommendation quality: what lists are made of, and how well they can be made."""

from __future__ import annotations

from dashboards import panels
from dashboards.panels import GREEN, RATE, RED, YELLOW, Query, Row, figure, lines, or_none

NOW = Row(
    "Now",
    [
        figure(
            "Age of the model",
            "time() - max(stream_app_release_created_timestamp_seconds{%s})",
            "Time since the newest release that serves was made. Histories and trends are live "
            "all the same; what ages is what the model knows of items and tastes. Above two "
            "weeks: train again (docs/training.md). The demo's release is old on purpose.",
            unit="s", steps=[(7 * 86400, YELLOW), (14 * 86400, RED)], empty="no worker",
        ),
        figure(
            "Lists as they should be",
            "1 - sum(rate(stream_app_degradations_total"
            '{%s,kind=~"list_short|not_as_asked|vector_not_finite"}[15m])) / '
            "sum(rate(stream_app_recommendations_total{%s}[15m]))",
            "Share of the lists of 15 minutes that are as long as asked for, made the way that was "
            "asked for, and with the user's vector. Normal: 100 %. Below 95 %: the panel of "
            "degradations names the kind.",
            unit="percentunit", low=RED, steps=[(0.95, YELLOW), (0.99, GREEN)], empty="no lists",
        ),
        figure(
            "Recall of the index",
            "min(stream_app_index_recall{%s})",
            "Share of the items truly nearest to a user which the index finds, of the worst "
            "worker; sampled, one query of 10,000. Below 90 % lists miss good items: set index to "
            "exact. Not known before the first sample.",
            unit="percentunit", low=RED, steps=[(0.9, YELLOW), (0.95, GREEN)], empty="not known",
        ),
        figure(
            "Places of the ten top items",
            "max(stream_app_top_items_share{%s})",
            "Share of the places of an hour's lists that the ten most listed items hold. High: "
            "everybody sees the same. Look at the sources below; raise diversity or "
            "popularity_discount (docs/ranking.md), or find out who pushes an item.",
            unit="percentunit", steps=[(0.3, YELLOW), (0.5, RED)], empty="no lists",
        ),
        figure(
            "Catalogue in lists",
            "max(stream_app_catalogue_coverage{%s})",
            "Share of the available items that were in a list within an hour, of the worker that "
            "shows most. It depends on traffic and on the size of the catalogue: watch the change, "
            "not the value. A fall: fewer items share the lists.",
            unit="percentunit", empty="no lists",
        ),
        figure(
            "Items without a vector",
            'max(stream_app_catalogue_items{%s,state="lacking"})',
            "New items that have a text and cannot be recommended by it yet. Back to 0 within "
            "seconds is normal. If it stays: no worker has the text encoder (setting "
            "text_encoder), or texts have no words; see docs/catalogue.md.",
            unit="short", steps=[(1, YELLOW)], empty="no worker",
        ),
    ],
)  # fmt: skip

LISTS = Row(
    "What lists are made of",
    [
        lines(
            "Places by source",
            [
                Query(
                    f"sum by (source) (rate(stream_app_list_items_total{{%s}}[{RATE}])) / "
                    "ignoring(source) group_left "
                    f"sum(rate(stream_app_list_items_total{{%s}}[{RATE}]))",
                    "{{source}}",
                )
            ],
            "Which sources proposed what got into lists; a place that several proposed counts in "
            "equal parts for each. personal and transitions lead with known users. trending above "
            "half: many unknown users, a model that fails, or a flood on some items.",
            unit="percentunit", stack=True,
        ),
        lines(
            "Candidates by source",
            [
                Query(
                    f"sum by (source) (rate(stream_app_candidates_total{{%s}}[{RATE}]))",
                    "{{source}}",
                )
            ],
            "What each source proposes, a second (sampled: one batch of 16 counts 16 times). A "
            "source at 0 proposes nothing: switched off (settings, scenario), or a plug-in that "
            "fails (source_failed below).",
            unit="short",
        ),
        lines(
            "Candidates kept out, by filter",
            [
                Query(
                    f"sum by (filter) (rate(stream_app_filtered_total{{%s}}[{RATE}])) "
                    f"{or_none('filter')}",
                    "{{filter}}",
                )
            ],
            "What filters take out, a second (sampled as the candidates). A sudden rise of rules: "
            "one excludes more than was meant (stream-app rules list). Of unavailable: many items "
            "were delisted.",
            unit="short", stack=True,
        ),
        lines(
            "Candidates for a list",
            [
                Query(
                    f"sum(rate(stream_app_candidates_ranked_total{{%s}}[{RATE}])) / "
                    f"sum(rate(stream_app_recommendations_total{{%s}}[{RATE}]))",
                    "different items that are ranked",
                ),
                Query(
                    f"sum(rate(stream_app_list_items_total{{%s}}[{RATE}])) / "
                    f"sum(rate(stream_app_recommendations_total{{%s}}[{RATE}]))",
                    "places of a list",
                ),
            ],
            "How many items the ranking has to choose from (sampled, so wild with few events), and "
            "how many it gives. Normal: ten times as many. Close to each other: filters or rules "
            "leave hardly a choice, and the order of a list means little.",
            unit="none",
        ),
        lines(
            "Reach of lists",
            [
                Query("max(stream_app_catalogue_coverage{%s})", "available items in lists"),
                Query("max(stream_app_top_items_share{%s})", "places of the ten top items"),
                Query(
                    f'(sum(rate(stream_app_list_items_total{{%s,source="new"}}[{RATE}])) or '
                    f"on() vector(0)) / sum(rate(stream_app_list_items_total{{%s}}[{RATE}]))",
                    "places of new arrivals",
                ),
            ],
            "Whether lists differ. Lines that drift towards each other, the first down and the "
            "second up, mean that a few items take over. New arrivals at 0 while items come in: "
            "exploration is off, or the new items have no vector.",
            unit="percentunit",
        ),
        lines(
            "Degradations",
            [
                Query(
                    f"sum by (kind) (increase(stream_app_degradations_total{{%s}}[{RATE}])) > 0 "
                    f"{or_none('kind')}",
                    "{{kind}}",
                )
            ],
            "What was done with less than intended, instead of failing: kinds that happened, and "
            "how often. Normal: none. docs/metrics.md says what each kind is; docs/runbooks.md, "
            "StreamAppListsDegraded, what to do.",
            unit="short", stack=True,
        ),
    ],
)  # fmt: skip

OPERATORS = Row(
    "What operators said",
    [
        lines(
            "Lists by arm of experiments",
            [
                Query(
                    "sum by (experiment, arm) (rate(stream_app_experiment_lists_total"
                    f"{{%s}}[{RATE}])) {or_none('experiment')}",
                    "{{experiment}} {{arm}}",
                )
            ],
            "Lists a second. Arms stand to each other as their shares, but for chance. One at 0 "
            "while others go on was switched off by its guard, or misses its scenario or release. "
            "stream-app experiment report NAME says what arms are worth.",
            unit="eps",
        ),
        lines(
            "Lists that a rule holds for",
            [
                Query(
                    f"sum by (rule) (rate(stream_app_rule_lists_total{{%s}}[{RATE}])) "
                    f"{or_none('rule')}",
                    "{{rule}}",
                )
            ],
            "Lists a second for which the conditions of a rule hold. 0 for a rule that should hold "
            "now: its condition is not what was meant (stream-app rules check).",
            unit="eps",
        ),
        lines(
            "Places that a rule touched",
            [
                Query(
                    f"sum by (rule) (rate(stream_app_rule_items_total{{%s}}[{RATE}])) "
                    f"{or_none('rule')}",
                    "{{rule}}",
                )
            ],
            "Places of lists a second which a rule boosts, buries, pins or counts. If it is most "
            "places, rules make the lists and no model does: withdraw what is no longer meant.",
            unit="short",
        ),
        lines(
            "In force, and refused",
            [
                Query("max by (topic) (stream_app_control_in_force{%s})", "{{topic}}"),
                Query("max by (topic) (stream_app_control_refused{%s})", "{{topic}}, refused"),
            ],
            "Scenarios, rules and running experiments that workers have taken up, and names whose "
            "newest record they could not. Refused must be 0: the log of any worker says why, and "
            "what was said before holds on.",
            unit="none",
        ),
    ],
)  # fmt: skip

CATALOGUE = Row(
    "Catalogue and index",
    [
        lines(
            "Items by state",
            [Query("max by (state) (stream_app_catalogue_items{%s})", "{{state}}")],
            "What is known of items. A steep fall of listed or rise of delisted and unavailable: "
            "an import went wrong, and lists shrink to what is left. refused: no room, raise "
            "catalogue_room.",
            unit="short",
        ),
        lines(
            "Age of the newest record",
            [
                Query(
                    "time() - max by (topic) (stream_app_catalogue_record_timestamp_seconds{%s}) "
                    f"{or_none('topic')}",
                    "{{topic}}",
                )
            ],
            "Time since the newest record that workers have read was appended, by topic. items: as "
            "often as your catalogue changes; older means that its producer has stopped. "
            "item-trends: seconds, while events come in.",
            unit="s",
        ),
        lines(
            "Recall of the index over time",
            [Query("min(stream_app_index_recall{%s})", "worst worker")],
            "Of the worst worker. It falls as the catalogue grows, or when many items changed "
            "since the index was built. Below the line: set index to exact, or train anew.",
            unit="percentunit", steps=[(0.9, RED)],
        ),
        lines(
            "Items in the index",
            [
                Query("max(stream_app_index_size{%s})", "can be found"),
                Query("max(stream_app_index_buffer{%s})", "searched beside it"),
                Query("max(stream_app_index_rebuilds{%s})", "indexes built since the start"),
            ],
            "Items that can be found by their vector. What is beside the index falls back when a "
            "new one is built. If it only grows, building fails: index_rebuild_failed among the "
            "degradations, and retrieval becomes slower.",
            unit="short",
        ),
        lines(
            "Texts read",
            [Query(f"sum(rate(stream_app_items_read_total{{%s}}[{RATE}]))", "items a second")],
            "Texts of items that encoders turn into vectors. Peaks when items come in. 0 while "
            "items lack vectors: no worker has the text encoder.",
            unit="short",
        ),
        lines(
            "Releases that serve",
            [
                Query(
                    "count by (name, version, backend) (stream_app_release_info{%s})",
                    "{{name}} {{version}} on {{backend}}",
                )
            ],
            "Workers by the release that they serve and by what runs its encoder. Two versions are "
            "normal during a rollout. A backend that nobody chose: the chosen one failed, see "
            "encoder_fallback and backend_refused among the degradations.",
            unit="none", stack=True,
        ),
    ],
)  # fmt: skip


def dashboard(uid: str) -> str:
    return panels.dashboard(
        uid,
        "Recommendation quality",
        "What lists are made of, whether they are as they should be, and what operators changed.",
        [NOW, LISTS, OPERATORS, CATALOGUE],
    )
