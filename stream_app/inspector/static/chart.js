// The two drawings of the page: a histogram whose bars move, and a line of the last minute.

import { h, share, svg } from "./dom.js";
import { count, ms } from "./format.js";

const POINTS = 60;

/** A histogram of milliseconds; `update({edges_ms, counts})` moves its bars. */
export class Histogram {
  #bars = h("div", { class: "bars", "aria-hidden": "true" });
  #said = h("figcaption", { class: "unseen" });
  #edges = "";

  constructor() {
    this.root = h("figure", { class: "histogram" }, this.#bars, this.#said);
  }

  update({ edges_ms: edges, counts }) {
    if (this.#edges !== edges.join()) this.#axis(edges, counts.length);
    const most = Math.max(1, ...counts);
    counts.forEach((one, at) => {
      const column = this.#bars.children[at];
      share(column, one / most);
      column.title = `${this.#range(edges, at)}: ${count(one)}`;
      column.dataset.count = one;
    });
    const fullest = counts.indexOf(Math.max(...counts));
    const lists = counts.reduce((sum, one) => sum + one, 0);
    this.#said.textContent = lists
      ? `${count(lists)} lists in the last minute; most came ${this.#range(edges, fullest)} `
        + "after their event."
      : "No list in the last minute.";
  }

  #axis(edges, columns) {
    this.#edges = edges.join();
    this.#bars.replaceChildren(...Array.from({ length: columns }, (_, at) =>
      h("div", { class: "column" },
        h("i"),
        h("span", {}, at < edges.length ? short(edges[at]) : `>${short(edges.at(-1))}`))));
  }

  #range(edges, at) {
    if (at === 0) return `up to ${ms(edges[0])}`;
    return at < edges.length ? `${ms(edges[at - 1])} to ${ms(edges[at])}` : `over ${ms(edges.at(-1))}`;
  }
}

function short(edge) {
  return edge < 1000 ? String(edge) : `${edge / 1000}s`;
}

/** A figure with a line of its last minute. */
export class Figure {
  #value = h("strong", {}, "–");
  #line = svg("polyline", { points: "" });
  #seen = [];

  constructor(label, unit) {
    this.root = h("div", { class: "figure" },
      h("span", { class: "label" }, label),
      h("span", { class: "value" }, this.#value, h("small", {}, unit)),
      svg("svg", {
        class: "spark", viewBox: `0 0 ${POINTS - 1} 20`, preserveAspectRatio: "none",
        "aria-hidden": "true",
      }, this.#line));
  }

  update(value, shown) {
    this.#value.textContent = shown;
    this.#seen.push(Number.isFinite(value) ? value : 0);
    if (this.#seen.length > POINTS) this.#seen.shift();
    const most = Math.max(1e-9, ...this.#seen);
    const from = POINTS - this.#seen.length;
    this.#line.setAttribute("points", this.#seen
      .map((one, at) => `${from + at},${(19 - 18 * one / most).toFixed(1)}`).join(" "));
  }
}
