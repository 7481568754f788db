// The worker's interface, with failures as messages for people.

/** A busy worker says when to ask again. */
const BUSY_TRIES = 4;

/** What went wrong: `status` 0 is a worker that does not answer. */
export class Failure extends Error {
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint ?? "";
  }
}

/** Fetch JSON; a path is made of parts, each of which is data. */
export async function get(parts, query = {}) {
  return call(address(parts, query), {});
}

export async function post(parts, body) {
  return call(address(parts), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

export function address(parts, query = {}) {
  const path = ["api", ...parts].map(encodeURIComponent).join("/");
  const asked = new URLSearchParams(query).toString();
  return asked ? `${path}?${asked}` : path;
}

async function call(url, options, tries = BUSY_TRIES) {
  let response;
  try {
    response = await fetch(url, { cache: "no-store", ...options });
  } catch {
    throw new Failure(0, "The worker does not answer.", "The page asks again by itself.");
  }
  if (response.status === 503 && tries > 1) {
    const seconds = Number(response.headers.get("Retry-After") ?? 1);
    await new Promise((done) => setTimeout(done, 1000 * seconds));
    return call(url, options, tries - 1);
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  if (response.status === 401) {
    throw new Failure(401, "This worker wants its token.",
      "Open the page once with ?token= and the content of inspector_token_file behind its address.");
  }
  throw new Failure(
    response.status, body.error ?? `The worker answered ${response.status}.`, body.hint);
}
