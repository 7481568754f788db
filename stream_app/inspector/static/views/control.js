// What operators have said: rules and what they hit, scenarios, experiments.

import { get } from "../api.js";
import { h, meter, nothing, panel, table } from "../dom.js";
import { count, label, percent, plain } from "../format.js";
import { kept } from "../links.js";

export function controlView() {
  const root = h("div", {});
  return {
    title: "Rules, scenarios, experiments",
    root,
    ...kept(root, 5, () => get(["control"]), ({ rules, scenarios, experiments }) => [
      panel("Rules", rules.length
        ? table("Lists and places are counted since this worker started", [
          { label: "rule", cell: (rule) => h("span", { class: "id" }, rule.rule_id) },
          { label: "does", cell: does },
          { label: "state", cell: state },
          { label: "items", number: true, cell: (rule) => count(rule.items) },
          { label: "lists", number: true, cell: (rule) => count(rule.lists) },
          { label: "places", number: true, cell: (rule) => count(rule.places) },
        ], rules)
        : nothing("No rule is published. Write one with ", h("code", {}, "stream-app rules put"),
          ".")),
      panel("Scenarios", scenarios.length
        ? table("What their lists do differently", [
          { label: "scenario", cell: (one) => h("span", { class: "id" }, one.name) },
          { label: "says", cell: says },
        ], scenarios)
        : nothing("No scenario is published: all lists are made as the worker's settings say.")),
      panel("Experiments", experiments.length
        ? experiments.map(experiment)
        : nothing("No experiment is published.")),
    ]),
  };
}

function does(rule) {
  const kind = rule.value === null || rule.value === undefined
    ? rule.kind : `${rule.kind} ${rule.value}`;
  return [h("span", { class: "chip" }, kind.replace("_", " ")), " ", h("code", {}, rule.what),
    rule.when && [" when ", h("code", {}, rule.when)],
    rule.scenarios?.length > 0 && ` in ${rule.scenarios.join(", ")}`];
}

function state(rule) {
  if (!rule.refused) return rule.state;
  return h("span", { class: "bad" }, `refused: ${rule.refused}`);
}

function says({ name: _, refused, ...rest }) {
  if (refused) return h("span", { class: "bad" }, `refused: ${refused}`);
  const said = Object.entries(rest).filter(([, one]) =>
    one !== null && (typeof one !== "object" || Object.keys(one).length > 0));
  return said.map(([key, one]) => h("div", {},
    h("span", { class: "quiet" }, `${label(key)}: `), plain(one)));
}

function experiment(one) {
  const total = one.arms.reduce((sum, arm) => sum + arm.lists, 0);
  return h("div", { class: "experiment" },
    h("p", {}, h("span", { class: "id" }, one.experiment_id), ` ${one.state}, `,
      `${percent(one.share ?? 1)} of users, ${count(total)} lists`),
    table(`Arms of ${one.experiment_id}`, [
      {
        label: "arm",
        cell: (arm) => [h("span", { class: "id" }, arm.name), " ",
          arm.name === one.control && h("span", { class: "chip" }, "control"),
          arm.off && h("span", { class: "chip bad" }, "switched off")],
      },
      { label: "served", cell: (arm) => plain(served(arm)) },
      {
        label: "share of users",
        number: true,
        cell: (arm) => meter(arm.share, percent(arm.share)),
      },
      { label: "lists", number: true, cell: (arm) => count(arm.lists) },
    ], one.arms));
}

function served({ scenario, release }) {
  const parts = [scenario && `scenario ${scenario}`, release && `release ${release}`].filter(Boolean);
  return parts.length ? parts : "as everyone";
}
