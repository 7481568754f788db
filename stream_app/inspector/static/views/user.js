// One user: their list with reasons beside what they did; and what a click changes.

import { Failure, get, post } from "../api.js";
import { inWords } from "../diff.js";
import { facts, h, panel, waiting } from "../dom.js";
import { clock, count, ms, plain } from "../format.js";
import { History } from "../history.js";
import { told } from "../links.js";
import { Recommended, actions } from "../recommended.js";
import { itemSearch } from "./items.js";

/** A list follows within milliseconds; after so long the page says that it waits. */
const LATE_MS = 5000;
/** What an event from the page did stays told for so long, also where others follow at once. */
const KEPT_MS = 8000;
/** Between two questions about a user to whom much happens: reasons cost the worker time. */
const REST_MS = 300;

export function userView(page, userId) {
  return new UserView(page, userId);
}

class UserView {
  #page;
  #history = new History();
  #recommended = null;
  #about = h("div", {});
  #said = h("p", { class: "said", role: "status" });
  #problem = h("div", {}, waiting());
  #body = h("div", { hidden: true });
  #sent = null;
  #made = null;
  #answer = null;
  #asking = false;
  #again = false;
  #closed = false;

  constructor(page, userId) {
    this.#page = page;
    this.user = userId;
    this.title = `User ${userId}`;
    this.root = h("div", {}, this.#problem, this.#about, this.#body);
    if (page.overview) this.overview(page.overview);
  }

  /** What the worker allows decides whether there are buttons. */
  overview({ writes }) {
    if (this.#recommended) return;
    const act = writes ? (item, action) => this.#act(item, action) : null;
    if (act) this.#said.textContent = "Click or buy something, and watch the list change.";
    this.#recommended = new Recommended(act, (item) => this.#history.point(item));
    this.#body.replaceChildren(h("div", { class: "user" },
      panel("Recommended now",
        h("p", { class: "note" }, "Each line: what proposed the item, and the sentence why. ",
          "Point at a line to see, in the history, the events that carried it."),
        this.#said, this.#recommended.root),
      h("div", { class: "aside" },
        panel("What they did", h("p", { class: "note" }, "Newest first."), this.#history.root),
        act ? this.#another(act) : h("p", { class: "note", id: "writes-off" },
          "This worker takes no events from the page (", h("code", {}, "inspector_writes"),
          " is off), so there are no buttons to click or buy."))));
    this.refresh();
  }

  #another(act) {
    const found = h("div", {});
    return panel("Do something else as this user", itemSearch("Any item", (item) =>
      [h("span", { class: "grow" }, item.title), ...actions(item, act)], found));
  }

  /** One question at a time: lists may come faster than they are explained. */
  async refresh() {
    this.#again = true;
    if (!this.#recommended || this.#asking) return;
    this.#asking = true;
    while (this.#again && !this.#closed) {
      this.#again = false;
      await this.#ask();
      if (this.#again) await new Promise((done) => setTimeout(done, REST_MS));
    }
    this.#asking = false;
  }

  async #ask() {
    try {
      const user = await get(["users", this.user], { lang: this.#page.language });
      if (!this.#closed) this.#show(user);
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      if (!this.#closed) this.#fail(failure);
    }
  }

  #fail(failure) {
    if (failure.status === 0 && !this.#body.hidden) return; // the frame says so already
    this.#problem.replaceChildren(told(failure));
    if (failure.status !== 404) return;
    this.#body.hidden = true;
    this.#about.replaceChildren();
    this.#problem.append(h("p", {},
      "Here lately: ", h("a", { href: "#/users" }, "all users of this worker"), "."));
  }

  #show(user) {
    this.#problem.replaceChildren();
    this.#about.replaceChildren(facts([
      ["events", count(user.events)],
      ["partition", count(user.partition)],
      ["in experiments", plain(Object.entries(user.arms ?? {}).map(([key, arm]) => `${key}: ${arm}`))],
      ["profile", user.profile && plain(user.profile.text || user.profile.attributes)],
      ["chosen from", `${count(user.list.candidates)} candidates`],
      ["made by", `${user.release}${user.list.degraded ? ", degraded: without its encoder" : ""}`],
    ].filter(([, one]) => one !== "–")));
    this.#body.hidden = false;
    this.#history.update(user.history);
    const compared = this.#recommended.update(user.list.items, this.#page.language);
    if (!compared || !this.#made) return;
    const { when, own } = this.#made;
    const text = `New list ${when}: ${inWords(compared)}.`;
    this.#made = null;
    if (own) this.#answer = { text, at: performance.now() };
    const kept = !own && performance.now() - (this.#answer?.at ?? -Infinity) < KEPT_MS;
    this.#say(kept ? `${this.#answer.text} ${text}` : text);
  }

  /** A new list of this user was sent. */
  list(list) {
    if (list.user_id !== this.user) return;
    if (this.#sent !== null) {
      const seen = ms(performance.now() - this.#sent);
      const when = list.freshness_ms === null
        ? `after ${seen}` : `after ${ms(list.freshness_ms)} (on this page after ${seen})`;
      this.#made = { when, own: true };
      this.#sent = null;
    } else {
      this.#made ??= { when: `at ${clock(list.made_ms)}`, own: false };
    }
    this.refresh();
  }

  async #act(item, action) {
    const sent = performance.now();
    this.#sent = sent;
    this.#say(`${action === "click" ? "Click" : "Purchase"} of ${item.title} sent …`);
    try {
      await post(["users", this.user, "events"], { item_id: item.item_id, action });
    } catch (failure) {
      this.#sent = null;
      const said = failure.status === 504 ? "Perhaps not sent" : "Not sent";
      this.#say(`${said}. ${failure.message} ${failure.hint ?? ""}`);
      return;
    }
    setTimeout(() => {
      if (this.#sent !== sent || this.#closed) return;
      this.#say(`The event is in Kafka, but no list has come after ${ms(LATE_MS)}: `
        + `${count(this.#page.tick?.lag)} events wait for this worker.`);
    }, LATE_MS);
  }

  #say(text) {
    this.#said.textContent = text;
    this.#said.classList.remove("flash");
    void this.#said.offsetWidth; // starts the animation again
    this.#said.classList.add("flash");
  }

  close() {
    this.#closed = true;
  }
}
