// What happens now: how fresh lists are, what flows, whose lists were made.

import { Figure, Histogram } from "../chart.js";
import { arrows, h, nothing, panel } from "../dom.js";
import { count, ms, rate, when } from "../format.js";
import { itemLink, userLink } from "../links.js";

const SHOWN = 14;
const TITLES = 3;

export function liveView() {
  const freshness = new Histogram();
  const median = h("strong", {}, "–");
  const slowest = h("span", {}, "");
  const figures = {
    events: new Figure("events in", "a second"),
    lists: new Figure("lists out", "a second"),
    lag: new Figure("lag", "events"),
    dead: new Figure("dead letters", "in all"),
  };
  const feed = new Feed();
  let before = null;
  return {
    title: "Live",
    root: h("div", { class: "live" },
      h("p", { class: "lead" },
        "Each event of a user changes their state, and a new list goes out. ",
        "Pick a user below to see their list, and why it is what it is."),
      panel("From event to list",
        h("div", { class: "fresh" },
          h("p", { class: "big" },
            h("span", { class: "label" }, "half of the lists within"), median, slowest),
          freshness.root),
        h("p", { class: "note" }, "Milliseconds from an event to the list that follows it, ",
          "of the last minute.")),
      h("section", { class: "figures", "aria-label": "Flow" },
        Object.values(figures).map((figure) => figure.root)),
      feed.root),
    tick(tick) {
      median.textContent = ms(tick.p50_ms);
      slowest.textContent = tick.p99_ms === null
        ? "no list in the last minute" : `99 of 100 within ${ms(tick.p99_ms)}`;
      freshness.update(tick.freshness);
      const passed = before && (tick.at_ms - before.at_ms) / 1000;
      const perSecond = (field) => (passed > 0 ? (tick[field] - before[field]) / passed : null);
      if (passed !== 0) {
        figures.events.update(perSecond("events_total"), rate(perSecond("events_total")));
        figures.lists.update(perSecond("lists_total"), rate(perSecond("lists_total")));
        before = tick;
      }
      figures.lag.update(tick.lag, count(tick.lag));
      figures.dead.update(tick.dead_letters_total, count(tick.dead_letters_total));
      feed.age();
    },
    list: (list) => feed.add(list),
  };
}

/** The newest list of each user, newest first; stands still while pointed at or in focus. */
class Feed {
  #rows = h("tbody");
  #empty = nothing("No list has been made since this page was opened. ",
    "They appear here as soon as a user does something.");
  #made = [];

  constructor() {
    const columns = ["user", "list starts with", "after", "made"].map((text, at) =>
      h("th", { scope: "col", class: at > 1 && "number" }, text));
    this.root = panel("Lists as they are made",
      h("table", { class: "feed" },
        h("caption", {}, "The newest list of each user. Stands still while you point at it."),
        h("thead", {}, h("tr", {}, columns)), this.#rows),
      this.#empty);
    arrows(this.root, "a.id");
  }

  add(list) {
    const others = this.#made.filter((one) => one.user_id !== list.user_id);
    this.#made = [list, ...others].slice(0, SHOWN);
    this.#empty.hidden = true;
    if (this.#rows.matches(":hover, :focus-within")) return;
    this.#draw();
  }

  age() {
    if (this.#made.length && !this.#rows.matches(":hover, :focus-within")) this.#draw();
  }

  #draw() {
    this.#rows.replaceChildren(...this.#made.map((list) => h("tr", {},
      h("td", { "data-label": "user" }, userLink(list.user_id)),
      h("td", { "data-label": "list starts with", class: "titles" },
        list.items.slice(0, TITLES).map((item, at) => [at > 0 && " · ", itemLink(item)])),
      h("td", { "data-label": "after", class: "number" }, ms(list.freshness_ms)),
      h("td", { "data-label": "made", class: "number" }, when(list.made_ms)))));
  }
}
