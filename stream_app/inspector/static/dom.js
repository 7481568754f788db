// Elements from data. Titles and ids come from outside: they become text nodes, never markup.

/** An element with attributes, listeners (`onclick`) and children; null and false are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...given(children));
  return element;
}

/** Children without the ones that are not there. */
export function given(children) {
  return children.flat(Infinity).filter((child) => ![null, undefined, false].includes(child));
}

/** Set a custom property of an element, which the style sheet turns into a length. */
export function share(element, value) {
  element.style.setProperty("--share", Math.max(0, Math.min(1, value ?? 0)));
  return element;
}

/** A bar as long as a share of 1; what it says stands beside it as text. */
export function bar(value, attributes = {}) {
  return share(h("span", { class: "bar", "aria-hidden": "true", ...attributes }), value);
}

/** A bar with its figure beside it, for a column of a table. */
export function meter(value, text) {
  return h("span", { class: "meter" }, bar(value), h("span", {}, text));
}

/** A table with a caption. Each column: `label`, `cell(row)`, and `number` for figures. */
export function table(caption, columns, rows, attributes = {}) {
  const head = columns.map((column) =>
    h("th", { scope: "col", class: column.number && "number" }, column.label));
  const body = rows.map((row) => h("tr", {}, columns.map((column) => h("td", {
    class: column.number && "number",
    "data-label": column.label,
  }, h("div", {}, column.cell(row))))));
  return h("table", attributes,
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, head)),
    h("tbody", {}, body));
}

/** A list of terms and what they are; pairs whose value is not there are left out. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs
    .filter(([, value]) => ![null, undefined, false, ""].includes(value))
    .map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

/** A section with a heading, named by it. */
export function panel(title, ...children) {
  const id = `panel-${title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  return h("section", { class: "panel", "aria-labelledby": id },
    h("h2", { id }, title), ...children);
}

/** What stands there while the worker is asked; seen only when that takes long. */
export function waiting() {
  return h("p", { class: "nothing waiting" }, "Asking the worker …");
}

/** What stands where there is nothing to show yet. */
export function nothing(...text) {
  return h("p", { class: "nothing" }, ...text);
}

/** Up and down move between the elements in `container` that match `selector`. */
export function arrows(container, selector) {
  container.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches(selector)) return;
    const all = [...container.querySelectorAll(selector)].filter((one) => one.checkVisibility());
    const next = all[all.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  return container;
}
