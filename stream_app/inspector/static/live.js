// One stream of server-sent events for the page; it is opened again by itself, and says so.

import { Failure, address, get } from "./api.js";

const RETRY_MS = [500, 1000, 2000, 4000];
/** Without a tick for so long the worker is taken for stuck: one is sent every second. */
const SILENT_MS = 6000;

export class Live {
  #source = null;
  #user = null;
  #tries = 0;
  #timer = 0;
  #watchdog = 0;
  #on;

  /** `on`: `tick(data)`, `list(data)` and `state(name, failure)`: open, lost or refused. */
  constructor(on) {
    this.#on = on;
    this.#open();
  }

  /** Also get each list of this user, and not only a sample; null: of no one. */
  watch(user) {
    if (user === this.#user) return;
    this.#user = user;
    this.#open();
  }

  #open() {
    this.#close();
    const source = new EventSource(address(["live"], this.#user === null ? {} : { user: this.#user }));
    this.#source = source;
    source.onopen = () => {
      this.#tries = 0;
      this.#hear();
      this.#on.state("open");
    };
    source.onerror = () => this.#lose();
    source.addEventListener("tick", (event) => {
      this.#hear();
      this.#on.tick(JSON.parse(event.data));
    });
    source.addEventListener("list", (event) => this.#on.list(JSON.parse(event.data)));
  }

  #close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#source?.close();
  }

  #hear() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#lose(), SILENT_MS);
  }

  async #lose() {
    this.#close();
    const wait = RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)];
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#open(), wait);
    // An EventSource does not tell a worker that is gone from one that refuses.
    const failure = await get(["overview"]).then(() => null, (caught) => caught);
    const refused = failure instanceof Failure && [401, 403].includes(failure.status);
    if (this.#source.readyState !== EventSource.OPEN) {
      this.#on.state(refused ? "refused" : "lost", failure);
    }
  }
}
