// One item: what is said of it, what is like it, what users went on to.

import { get } from "../api.js";
import { facts, h, meter, nothing, panel, table } from "../dom.js";
import { count, percent, plain } from "../format.js";
import { filled, itemLink } from "../links.js";

export function itemView(page, itemId) {
  const root = h("div", {});
  const view = { title: `Item ${itemId}`, root };
  return Object.assign(view, filled(root, () => get(["items", itemId]), (item) => {
    page.entitle(item.title);
    return [
      about(item),
      h("div", { class: "two" },
        panel("Like it",
          measured(item.neighbours, "similarity", "Nearest items by the model's vectors",
            (one) => one.toFixed(2), "This item has no vector, so nothing is near it.")),
        panel("Users went on to",
          measured(item.followed_by, "share", "Next items of users who had this one", percent,
            "No user has gone on from this item yet."))),
    ];
  }));
}

function about(item) {
  const trend = item.trend?.rank
    ? `place ${count(item.trend.rank)} with ${percent(item.trend.share)} of what happens now`
    : item.trend && `${percent(item.trend.share)} of what happens now`;
  return facts([
    ["id", item.item_id],
    ["categories", item.categories.length && item.categories.map((one) =>
      h("span", { class: "chip" }, one))],
    ["state", state(item)],
    ["price", item.price !== null && `${item.price} ${item.currency ?? ""}`.trim()],
    ["trend", trend],
    ...Object.entries(item.attributes ?? {}).map(([key, one]) => [key, plain(one)]),
  ]);
}

function state({ state: said, available, has_vector: vector }) {
  if (said === "delisted") return "delisted: in no list";
  const vectorless = vector === false ? ", without a vector" : "";
  return `${available === false ? "not available now" : said === "listed" ? "listed" : "from the release"}${vectorless}`;
}

function measured(items, field, caption, format, empty) {
  if (!items.length) return nothing(empty);
  const most = Math.max(...items.map((item) => item[field]));
  return table(caption, [
    { label: "item", cell: itemLink },
    {
      label: field,
      number: true,
      cell: (item) => meter(item[field] / most, format(item[field])),
    },
  ], items);
}
