// The catalogue, by title or id.

import { get } from "../api.js";
import { arrows, h, nothing } from "../dom.js";
import { itemLink, told } from "../links.js";

/** Wait for the next key before asking. */
const PAUSE_MS = 150;

export function itemsView() {
  const found = h("div", { class: "panel" }, hint());
  const search = itemSearch("Title or id", (item) => itemLink(item), found, hint);
  return { title: "Items", root: search, close() {} };
}

function hint() {
  return nothing("Type a part of a title, or an id. An item shows what is like it and what "
    + "users went on to.");
}

/**
 * A search box whose results are drawn by `draw(item)` into `found`.
 *
 * `idle()` gives what stands there while nothing is typed.
 */
export function itemSearch(text, draw, found, idle = () => "") {
  const id = `search-${text.replaceAll(/\W+/g, "-")}`;
  const said = h("p", { class: "unseen", role: "status" });
  let timer = 0;
  let asked = 0;

  async function look(typed) {
    const mine = ++asked;
    if (!typed) return found.replaceChildren(idle());
    let drawn;
    try {
      const { items, complete } = await get(["items"], { q: typed });
      said.textContent = `${items.length} items found`;
      drawn = items.length
        ? [h("ul", { class: "found" }, items.map((item) => h("li", {},
          draw(item), h("span", { class: "id quiet" }, item.item_id)))),
        complete === false && h("p", { class: "note" }, "There may be more: type more of it.")]
        : [nothing(`No item has “${typed}” in its title or as its id.`)];
    } catch (failure) {
      drawn = [told(failure)];
    }
    if (mine === asked) found.replaceChildren(...drawn.filter(Boolean));
  }

  const input = h("input", {
    type: "search", id, autocomplete: "off", spellcheck: "false",
    oninput() {
      clearTimeout(timer);
      timer = setTimeout(look, PAUSE_MS, input.value.trim());
    },
  });
  return arrows(h("div", { class: "search", role: "search" },
    h("label", { for: id }, text), h("div", {}, input), said, found), "input, a, button");
}
