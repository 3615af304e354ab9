// The few DOM operations the page needs. Text goes in by textContent alone: what agents send is
// never markup.

export const byId = (id) => document.getElementById(id);

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Writing only what differs keeps selections, screen readers and layout at rest.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Rows of `body` made to match `items`, each found again by its key.
export function reconcile(body, rows, items, keyOf, make, update) {
  const wanted = new Set();
  let at = body.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    let row = rows.get(key);
    if (!row) {
      row = make(item);
      rows.set(key, row);
    }
    update(row, item);
    if (row.node === at) at = at.nextElementSibling;
    else body.insertBefore(row.node, at);
  }
  for (const [key, row] of rows) {
    if (!wanted.has(key)) {
      row.node.remove();
      rows.delete(key);
    }
  }
}
