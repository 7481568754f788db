// What a user did, newest first; the events that carried an item can be pointed at.

import { arrows, h, share } from "./dom.js";
import { when } from "./format.js";
import { itemLink } from "./links.js";

const SHOWN = 15;

export class History {
  #rows = h("ol", { class: "history" });
  #more = h("button", { type: "button", class: "more", onclick: () => this.#all() });
  #whole = false;
  #events = [];

  constructor() {
    this.root = h("div", {}, arrows(this.#rows, "a"), this.#more);
  }

  update(events) {
    const newest = this.#events[0]?.at_ms ?? Infinity;
    this.#events = events;
    this.#rows.replaceChildren(...events.map((event, at) => h("li", {
      class: event.at_ms > newest && "fresh-event",
      "data-event": key(event),
      hidden: !this.#whole && at >= SHOWN,
    },
    h("span", { class: "action", "data-action": event.action }, event.action),
    itemLink(event), h("span", { class: "quiet" }, when(event.at_ms)))));
    this.#more.hidden = this.#whole || events.length <= SHOWN;
    this.#more.textContent = `Show all ${events.length}`;
  }

  /** Mark the events that carried an item, each with its share; null marks none. */
  point(item) {
    const shares = new Map((item?.because ?? []).map((event) => [key(event), event.share]));
    for (const row of this.#rows.children) {
      const carried = shares.get(row.dataset.event);
      row.classList.toggle("carried", carried !== undefined);
      share(row, carried);
    }
  }

  #all() {
    this.#whole = true;
    this.update(this.#events);
    this.#rows.children[SHOWN].querySelector("a")?.focus();
  }
}

function key(event) {
  return `${event.at_ms} ${event.item_id}`;
}
