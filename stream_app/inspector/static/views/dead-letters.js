// Messages that could not be applied, with the reason of each.

import { get } from "../api.js";
import { h, nothing, table } from "../dom.js";
import { count, when } from "../format.js";
import { filled } from "../links.js";

export function deadLettersView() {
  const root = h("div", {});
  let total = null;
  const content = filled(root, () => get(["dead-letters"]), ({ dead_letters: letters, total: all }) => [
    h("p", { class: "lead" },
      `${count(all)} since this worker started. A message that cannot be applied never stops the `
      + "others: it is kept in its own topic with the reason. "),
    h("div", { class: "panel" }, letters.length
      ? table("The newest first; what the messages held is not shown", [
        { label: "why", cell: (one) => h("span", { class: "chip" }, one.reason.replaceAll("_", " ")) },
        { label: "in detail", cell: (one) => one.detail },
        {
          label: "where",
          cell: (one) => h("code", {}, `${one.topic}/${one.partition}@${one.offset}`),
        },
        { label: "when", number: true, cell: (one) => when(one.at_ms) },
      ], letters)
      : nothing("None. All that came was applied.")),
    h("p", { class: "note" }, "From a terminal: ", h("code", {}, "stream-app dead-letters list"),
      " shows them whole, ", h("code", {}, "stream-app dead-letters replay"),
      " sends them again once the cause is gone."),
  ]);
  return {
    title: "Dead letters",
    root,
    ...content,
    tick(tick) {
      if (total !== null && tick.dead_letters_total !== total) content.refresh();
      total = tick.dead_letters_total;
    },
  };
}
