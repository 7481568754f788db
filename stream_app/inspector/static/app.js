// The frame of the page: which view is shown, what every view needs, and what is said of the worker.

import { get } from "./api.js";
import { h } from "./dom.js";
import { clock, name } from "./format.js";
import { Live } from "./live.js";
import { controlView } from "./views/control.js";
import { deadLettersView } from "./views/dead-letters.js";
import { itemView } from "./views/item.js";
import { itemsView } from "./views/items.js";
import { liveView } from "./views/live.js";
import { modelView } from "./views/model.js";
import { userView } from "./views/user.js";
import { usersView } from "./views/users.js";

/** Of the address behind `#/`: its first part, the view, the link it belongs to. */
const VIEWS = {
  "": [liveView, ""],
  users: [usersView, "users"],
  user: [userView, "users"],
  items: [itemsView, "items"],
  item: [itemView, "items"],
  model: [modelView, "model"],
  control: [controlView, "control"],
  "dead-letters": [deadLettersView, "dead-letters"],
};
const LINKS = {
  "": "Live", users: "Users", items: "Items", model: "Model", control: "Rules",
  "dead-letters": "Dead letters",
};

const at = (id) => document.getElementById(id);
let shown = null;

/** What views read: the last overview and tick, the language of reasons, the stream. */
const page = {
  overview: null,
  tick: null,
  language: localStorage.getItem("language") ?? "en",
  live: null,
  /** A view names itself once it knows more than its address. */
  entitle(title) {
    document.title = `${title} · stream-app inspector`;
    document.querySelector("h1").textContent = title;
  },
};

function start() {
  at("views").append(...Object.entries(LINKS).map(([path, text]) =>
    h("li", {}, h("a", { href: `#/${path}`, "data-view": path }, text))));
  at("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address is taken by the views
    at("main").focus();
  });
  choose(at("theme"), localStorage.getItem("theme") ?? "auto", (chosen) => {
    localStorage.setItem("theme", chosen);
    document.documentElement.dataset.theme = chosen;
  });
  choose(at("language"), page.language, (chosen) => {
    localStorage.setItem("language", chosen);
    page.language = chosen;
    shown?.refresh?.();
  });
  page.live = new Live({
    tick(tick) {
      page.tick = tick;
      at("connection").dataset.beat = tick.at_ms % 2000 < 1000 ? "1" : "2";
      says(at("connection"), tick.ready ? "live" : "not ready");
      at("connection").title = tick.state;
      shown?.tick?.(tick);
    },
    list: (list) => shown?.list?.(list),
    state: connected,
  });
  addEventListener("hashchange", () => show(true));
  show(false);
}

/** Change a text that is read aloud, but not to what it says already. */
function says(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function choose(select, value, changed) {
  select.value = value;
  select.addEventListener("change", () => changed(select.value));
}

/** Show the view of the address; `moved` is false for the first one, which leaves the focus. */
function show(moved) {
  const [first, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const [make, link] = VIEWS[first] ?? VIEWS[""];
  shown?.close?.();
  for (const one of at("views").querySelectorAll("a")) {
    if (one.dataset.view === link) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  shown = make(page, decoded(rest.join("/")));
  page.live.watch(shown.user ?? null);
  const heading = h("h1", { tabindex: "-1" });
  at("main").replaceChildren(heading, shown.root);
  page.entitle(shown.title);
  if (page.tick) shown.tick?.(page.tick);
  if (moved) {
    scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a `%` typed by hand
  }
}

/** Say in the frame whether the worker answers; all is read again when it is back. */
async function connected(state, failure) {
  const pill = at("connection");
  if (pill.dataset.state === state) return;
  const back = state === "open" && pill.dataset.state === "lost";
  pill.dataset.state = state;
  says(pill, { open: "live", lost: "reconnecting", refused: "refused" }[state]);
  at("banner").hidden = state === "open";
  at("banner").textContent = {
    open: "",
    lost: (failure
      ? "The worker does not answer. " : "The worker answers, but its stream is closed or full. ")
      + "The page connects again by itself; "
      + `what it shows is of ${clock(page.tick?.at_ms ?? Date.now())}.`,
    refused: failure ? `${failure.message} ${failure.hint ?? ""}` : "",
  }[state];
  if (state !== "open") return;
  try {
    page.overview = await get(["overview"]);
  } catch {
    return; // gone again: the stream says so
  }
  foot(page.overview);
  languages(page.overview.languages);
  if (back) shown?.refresh?.();
  shown?.overview?.(page.overview);
}

function foot({ release, version, app_id: app, writes }) {
  at("foot").replaceChildren(
    h("span", {}, `stream-app ${version}, worker of ${app}`),
    h("span", {}, `release ${release.release}`),
    h("span", {}, writes ? "writes are on: Click and Buy send real events" : "read only"));
}

function languages(codes) {
  const names = new Intl.DisplayNames("en", { type: "language" });
  at("language").replaceChildren(...codes.map((code) =>
    h("option", { value: code }, name({ title: names.of(code), item_id: code }))));
  at("language").value = codes.includes(page.language) ? page.language : codes[0];
  page.language = at("language").value;
}

start();
