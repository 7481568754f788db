// Who was here lately, and a way to anybody else.

import { get } from "../api.js";
import { arrows, h, nothing, table } from "../dom.js";
import { count, when } from "../format.js";
import { itemLink, kept, userLink } from "../links.js";

export function usersView() {
  const input = h("input", {
    type: "search", id: "user-id", autocomplete: "off", spellcheck: "false", maxlength: "256",
    oninput: () => narrow(),
  });
  const recent = h("div", { class: "panel" });
  const form = h("form", { class: "search", role: "search", onsubmit: go },
    h("label", { for: "user-id" }, "User id"),
    h("div", {}, input, h("button", { type: "submit" }, "Show")));

  function go(event) {
    event.preventDefault();
    if (input.value) location.hash = `#/user/${encodeURIComponent(input.value)}`;
  }

  function narrow() {
    for (const row of recent.querySelectorAll("tbody tr")) {
      row.hidden = !row.querySelector(".id").textContent.includes(input.value);
    }
  }

  const content = kept(recent, 3, () => get(["users"]), ({ users }) => {
    const drawn = users.length
      ? table("Users of this worker, the latest first", [
        { label: "user", cell: (user) => userLink(user.user_id) },
        { label: "did last", cell: did },
        { label: "events", number: true, cell: (user) => count(user.events) },
        { label: "when", number: true, cell: (user) => when(user.at_ms) },
      ], users)
      : nothing("No user has done anything on this worker since it started.");
    queueMicrotask(narrow);
    return drawn;
  });
  const root = arrows(h("div", {}, form, recent), "input, a.id");
  return { title: "Users", root, ...content };
}

function did({ last_item: item }) {
  if (!item) return "–";
  return [h("span", { class: "action", "data-action": item.action }, item.action), itemLink(item)];
}
