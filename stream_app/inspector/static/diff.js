// What changed between two lists.

/**
 * Compare two lists of items, best first.
 *
 * `changes` maps each item of the new list to `{kind, by}`: `came`, `rose`, `fell` or `same`, and
 * by how many places. `left` are the items that are not in the new list.
 */
export function compare(before, after) {
  const places = new Map(before.map((item, place) => [item.item_id, place]));
  const changes = new Map(after.map((item, place) => {
    const was = places.get(item.item_id);
    places.delete(item.item_id);
    if (was === undefined) return [item.item_id, { kind: "came", by: 0 }];
    const kind = was > place ? "rose" : was < place ? "fell" : "same";
    return [item.item_id, { kind, by: Math.abs(was - place) }];
  }));
  return { changes, left: before.filter((item) => places.has(item.item_id)) };
}

/** The same in words: "3 new, 2 rose, 1 fell, 3 left". */
export function inWords({ changes, left }) {
  const kinds = [...changes.values()].map((change) => change.kind);
  const number = (kind) => kinds.filter((one) => one === kind).length;
  const said = [
    [number("came"), "new"], [number("rose"), "rose"], [number("fell"), "fell"],
    [left.length, "left"],
  ].filter(([how]) => how > 0).map(([how, what]) => `${how} ${what}`);
  return said.join(", ") || "the same items in the same order";
}
