// Figures, times and names for people.

const COUNT = new Intl.NumberFormat("en");
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const NONE = "–";

export function count(value) {
  return value === null || value === undefined ? NONE : COUNT.format(value);
}

/** A rate per second: two digits are enough. */
export function rate(value) {
  if (value === null || !Number.isFinite(value)) return NONE;
  return value >= 10 ? count(Math.round(value)) : value.toFixed(1);
}

/** Milliseconds, as "4.2 ms", "23 ms" or "1.3 s". */
export function ms(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 10 && !Number.isInteger(value)) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return seconds(value / 1000);
}

/** Seconds, as "1.3 s", "12 min", "5 h" or "6 days". */
export function seconds(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  if (value < 3600) return `${Math.round(value / 60)} min`;
  if (value < 2 * 86400) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} days`;
}

/** A share of 1 in whole percent, or with `digits`. */
export function percent(value, digits = 0) {
  const rounded = (100 * value).toFixed(digits);
  return value > 0 && Number(rounded) === 0 ? "<1 %" : `${rounded} %`;
}

/** The time of a clock. */
export function clock(atMs) {
  return CLOCK.format(atMs);
}

/** A `time` element: how long ago where that is today, else the day. */
export function when(atMs) {
  const element = document.createElement("time");
  if (!atMs) return NONE;
  const passed = (Date.now() - atMs) / 1000;
  element.dateTime = new Date(atMs).toISOString();
  element.title = element.dateTime;
  if (passed > 86400 || passed < -60) element.textContent = DAY.format(atMs);
  else if (passed < 3) element.textContent = "just now";
  else element.textContent = `${passed < 60 ? `${Math.round(passed)} s` : seconds(passed)} ago`;
  return element;
}

/** An item by its title, or by its id where no title is known. */
export function name(item) {
  return item.title || item.item_id || "an unknown item";
}

/** The name of a field for people. */
export function label(field) {
  return field.replaceAll("_", " ");
}

/** Anything as one line of text. */
export function plain(given) {
  if (given === null || given === undefined) return null;
  if (typeof given === "boolean") return given ? "yes" : "no";
  if (Array.isArray(given)) return given.length ? given.map(plain).join(", ") : NONE;
  if (typeof given === "object") {
    return Object.entries(given).map(([key, one]) => `${label(key)} ${plain(one)}`).join(", ");
  }
  return String(given);
}
