// Links between views, and how failures of a view are told.

import { h, waiting } from "./dom.js";
import { name } from "./format.js";

export function userLink(userId) {
  return h("a", { href: `#/user/${encodeURIComponent(userId)}`, class: "id" }, userId);
}

/** An item by its title; without an id it cannot be followed. */
export function itemLink(item) {
  if (item.item_id === null) return h("span", { class: "unknown" }, name(item));
  return h("a", {
    href: `#/item/${encodeURIComponent(item.item_id)}`, "data-focus": `item ${item.item_id}`,
  }, name(item));
}

/** A failure as a plain message. */
export function told(failure) {
  return h("div", { class: "failure", role: "alert" },
    h("p", {}, h("strong", {}, sentence(failure.message))),
    failure.hint && h("p", {}, sentence(failure.hint)));
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/**
 * Fill `root` by what `draw(await read())` gives, or with what went wrong.
 *
 * Of readings that overtake each other the last one asked for is shown. Returns `{refresh, close}`.
 */
export function filled(root, read, draw) {
  let asked = 0;
  async function refresh() {
    const mine = ++asked;
    root.setAttribute("aria-busy", "true");
    const shown = await read().then(draw, told);
    if (mine !== asked) return; // closed, or asked again
    root.removeAttribute("aria-busy");
    root.replaceChildren(...[shown].flat());
  }
  root.replaceChildren(waiting());
  refresh();
  return { refresh, close: () => { asked = -1; } };
}

/** The same, read again every few seconds while nobody points at it or works in it. */
export function kept(root, seconds, read, draw) {
  const content = filled(root, read, draw);
  let ticks = 0;
  return {
    ...content,
    tick() {
      ticks += 1;
      if (ticks % seconds === 0 && !root.matches(":hover, :focus-within")) content.refresh();
    },
  };
}
