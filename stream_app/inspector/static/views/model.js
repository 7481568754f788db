// What serves: the release, the catalogue, the partitions.

import { get } from "../api.js";
import { facts, h, nothing, panel, table } from "../dom.js";
import { count, percent, plain, seconds } from "../format.js";
import { kept } from "../links.js";

const CATALOGUE = [
  ["listed", "items that the topic says something of"],
  ["delisted", "delisted"],
  ["unavailable", "not to be recommended now"],
  ["lacking", "listed, waiting for a vector"],
  ["refused", "refused: no room"],
  ["indexed", "found by their vector"],
  ["buffered", "of them new, beside the index"],
  ["rebuilds", "rebuilds of the index"],
];

export function modelView() {
  const root = h("div", {});
  return {
    title: "Model",
    root,
    ...kept(root, 5, () => get(["overview"]), (overview) => [
      h("p", { class: "lead" }, overview.ready ? "Ready" : "Not ready yet", `: ${overview.state}.`),
      h("div", { class: "two" },
        panel("Release", facts([
          ["name", overview.release.name],
          ["version", overview.release.version],
          ["runs on", overview.release.backend],
          ["made", overview.release.created_at.replace("T", " ").slice(0, 16)],
          ["age", seconds(overview.release.age_s)],
          ["index recall", overview.recall !== null && percent(overview.recall, 1)],
          ["list length", overview.list_length],
          ["users of this worker", overview.users !== null && count(overview.users)],
          ["challengers", plain(overview.challengers)],
        ])),
        panel("Catalogue", overview.catalogue
          ? facts([
            ["items of the release, and those that joined", count(overview.release.items)],
            ...CATALOGUE.map(([field, words]) => [words, count(overview.catalogue[field])]),
          ])
          : nothing("No catalogue is read: lists are made of the release's items."))),
      panel("Partitions", partitions(overview)),
    ]),
  };
}

function partitions({ partitions: all }) {
  if (!all.length) return nothing("This worker has no partition: there are as many others.");
  return [
    table("Source partitions of this worker, each with its lag in events", [
      { label: "topic", cell: (topic) => topic },
      {
        label: "partition and lag",
        cell: (topic) => h("ul", { class: "partitions" }, all
          .filter((one) => one.topic === topic)
          .map((one) => h("li", { "data-behind": one.lag > 0 && "" },
            h("span", { class: "unseen" }, "partition "), h("b", {}, one.partition), " lag ",
            count(one.lag)))),
      },
    ], [...new Set(all.map((one) => one.topic))]),
  ];
}
