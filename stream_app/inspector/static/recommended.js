// A user's list: what moved since the one before, where items come from, and why.

import { compare } from "./diff.js";
import { arrows, bar, h, share } from "./dom.js";
import { percent, when } from "./format.js";
import { itemLink } from "./links.js";

const MOVED = {
  came: ["new", "new in the list"],
  rose: ["▲", "rose by"],
  fell: ["▼", "fell by"],
};
const MOVE_MS = 450;

export class Recommended {
  #rows = h("ol", { class: "list" });
  #left = h("p", { class: "left" });
  #items = null;
  #open = new Set();
  #act;
  #point;

  /** `act(item, action)` sends an event, null where that is off; `point(item)` of a row or null. */
  constructor(act, point) {
    this.#act = act;
    this.#point = point;
    this.root = h("div", {}, arrows(this.#rows, ".title a"), this.#left);
  }

  /** Show a list; returns what changed, null for the first one. */
  update(items, language) {
    const compared = this.#items && compare(this.#items, items);
    if (!this.#items && items.length) this.#open.add(items[0].item_id);
    const before = this.#places();
    const focus = this.#focused();
    const rows = new Map([...this.#rows.children].map((row) => [row.dataset.item, row]));
    this.#rows.replaceChildren(...items.map((item) => {
      const row = rows.get(item.item_id) ?? this.#row(item.item_id);
      row.item = item;
      row.replaceChildren(...this.#cells(item, compared?.changes.get(item.item_id), language));
      return row;
    }));
    this.#left.replaceChildren(...gone(compared?.left ?? []));
    this.#items = items;
    this.#refocus(focus);
    this.#move(before);
    return compared;
  }

  #row(itemId) {
    const row = h("li", { "data-item": itemId });
    for (const begins of ["pointerenter", "focusin"]) {
      row.addEventListener(begins, () => this.#point(row.item));
    }
    for (const ends of ["pointerleave", "focusout"]) {
      row.addEventListener(ends, () => this.#point(null));
    }
    return row;
  }

  #cells(item, change, language) {
    return [
      h("div", { class: "rank" }, h("b", {}, item.rank), moved(change)),
      h("div", { class: "what" },
        h("div", { class: "title" }, itemLink(item)),
        h("p", { class: "reason", lang: language }, item.reason),
        item.rules.length > 0 && h("p", { class: "ruled" },
          item.rules.map((rule) => h("span", { class: "chip" }, `rule ${rule}`))),
        this.#because(item)),
      sources(item),
      this.#act && h("div", { class: "acts" }, actions(item, this.#act)),
    ].filter(Boolean);
  }

  #because(item) {
    if (!item.because.length && !item.parts?.length) return null;
    const events = item.because.length === 1 ? "1 past event" : `${item.because.length} past events`;
    const details = h("details", { open: this.#open.has(item.item_id) },
      h("summary", { "data-focus": `why ${item.item_id}` }, item.because.length
        ? `carried by ${events}` : "what the score is made of"),
      h("ul", { class: "because" }, item.because.map((event) => h("li", {},
        bar(event.share), h("span", { class: "quiet" }, percent(event.share)),
        h("span", {}, h("span", { class: "action", "data-action": event.action }, event.action),
          itemLink(event), " ", h("span", { class: "quiet" }, when(event.at_ms)))))),
      parts(item));
    details.addEventListener("toggle", () => {
      if (details.open) this.#open.add(item.item_id);
      else this.#open.delete(item.item_id);
    });
    return details;
  }

  #places() {
    return new Map([...this.#rows.children].map((row) =>
      [row.dataset.item, row.getBoundingClientRect().top]));
  }

  /** Let rows glide from where they were (first, last, invert, play). */
  #move(before) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const row of this.#rows.children) {
      const was = before.get(row.dataset.item);
      if (was === undefined) continue;
      const by = was - row.getBoundingClientRect().top;
      if (by) {
        row.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }],
          { duration: MOVE_MS, easing: "cubic-bezier(.2,.7,.2,1)" });
      }
    }
  }

  /** Where the focus is: the item's row, its place, and what in it. */
  #focused() {
    const row = document.activeElement?.closest("li[data-item]");
    if (!row || !this.#rows.contains(row)) return null;
    return {
      what: document.activeElement.dataset.focus?.split(" ")[0],
      item: row.dataset.item,
      place: [...this.#rows.children].indexOf(row),
    };
  }

  /** Put it back; where the item has left, to the same thing at its place. */
  #refocus(focus) {
    if (!focus) return;
    const rows = [...this.#rows.children];
    const row = rows.find((one) => one.dataset.item === focus.item)
      ?? rows[Math.min(focus.place, rows.length - 1)];
    const found = [...row?.querySelectorAll("[data-focus]") ?? []];
    (found.find((one) => one.dataset.focus.startsWith(`${focus.what} `)) ?? found[0])
      ?.focus({ preventScroll: true });
  }
}

/** Buttons that do something with an item as the user. */
export function actions(item, act) {
  return [["click", "Click"], ["purchase", "Buy"]].map(([action, text]) => h("button", {
    type: "button",
    "data-focus": `${action} ${item.item_id}`,
    "aria-label": `${text} ${item.title}`,
    onclick: () => act(item, action),
  }, text));
}

function moved(change) {
  if (!change || change.kind === "same") return null;
  const [sign, words] = MOVED[change.kind];
  const by = change.by || "";
  return h("span", { class: "moved", "data-kind": change.kind },
    h("span", { "aria-hidden": "true" }, `${sign}${by && ` ${by}`}`),
    h("span", { class: "unseen" }, `${words} ${by}`));
}

function gone(items) {
  if (!items.length) return [];
  return [h("span", { class: "moved", "data-kind": "left" }, "left"), " ",
    ...items.flatMap((item, at) => [at > 0 ? " · " : "", itemLink(item)])];
}

/**
 * The sources that proposed an item, with the share of each in what speaks for it. The rest is
 * evidence whose source did not propose it.
 */
function sources(item) {
  const total = (shares) => shares.reduce((sum, one) => sum + (one.share ?? 0), 0);
  const rest = total(item.parts) - total(item.sources);
  const all = [...item.sources, { name: "other evidence", share: rest }]
    .slice(0, rest > 0.005 ? undefined : -1);
  const swatch = (source) => h("i", { "data-source": source.name, "aria-hidden": "true" });
  return h("div", { class: "sources" },
    h("div", { class: "stack", "aria-hidden": "true" }, all.map((source) =>
      source.share > 0 && share(swatch(source), source.share))),
    h("ul", { "aria-label": "proposed by" }, all.map((source) => h("li", {},
      swatch(source), source.name,
      source.share > 0 && h("span", { class: "quiet" }, ` ${percent(source.share)}`)))));
}

function parts(item) {
  if (!item.parts?.length) return null;
  return h("p", { class: "quiet parts" }, `score ${signed(item.score_nats)} nats = `,
    item.parts.map((part) => `${part.name} ${signed(part.score_nats)}`).join("  "));
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}
