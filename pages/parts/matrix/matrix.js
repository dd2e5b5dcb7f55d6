// The layers x formats matrix. Python sends rows and columns, a click sends back one event; nothing is kept here but focus.

const text = (tag, content, cls) => {
  const element = document.createElement(tag);
  if (content !== undefined) element.textContent = content;
  if (cls) element.className = cls;
  return element;
};

const button = (cls, label, onclick) => {
  const element = text("button", undefined, cls);
  element.type = "button";
  element.setAttribute("aria-label", label);
  element.onclick = onclick;
  return element;
};

function head(data, send) {
  const row = text("tr");
  row.append(text("th", "Layer", "left"), text("th", "Shape", "shape"), text("th", "Bytes", "left"));
  for (const column of data.columns) {
    const cell = text("th");
    const pick = button("", `${column.label} for all layers`, () => send("column", { format: column.name }));
    const dot = text("span", undefined, "dot");
    dot.style.background = column.color;
    pick.append(dot, column.label);
    pick.title = `${column.help} Click: for all layers that are not locked.`;
    cell.append(pick);
    row.append(cell);
  }
  row.append(text("th"));
  const part = text("thead");
  part.append(row);
  return part;
}

function line(layer, data, send) {
  const row = text("tr", undefined, layer.locked ? "locked" : undefined);
  const name = text("th");
  name.scope = "row";
  const pick = button("name", `Select layer ${layer.name}`, () => send("select", { layer: layer.name }));
  pick.setAttribute("aria-pressed", String(layer.name === data.selected));
  pick.title = layer.name;
  pick.append(text("b", layer.name), " ", text("span", layer.kind));
  name.append(pick);
  const bytes = text("td", undefined, "bytes");
  const bar = text("span", undefined, "bar");
  bar.style.width = `${Math.max(2, 46 * layer.share)}px`;
  bar.style.background = layer.color;
  bar.title = layer.bytes;
  bytes.append(bar);
  row.append(name, text("td", layer.shape, "shape"), bytes);
  layer.cells.forEach((cell, index) => {
    const column = data.columns[index];
    const chosen = layer.chosen === column.name;
    const said = cell.reason || (cell.text ? `${cell.text} dB` : column.name === "fp32" ? "float" : "not measured");
    const label = `${layer.name}, ${column.label}, ${said}${chosen ? ", chosen" : ""}`;
    const box = button("cell", label, () => send("cell", { layer: layer.name, format: column.name }));
    box.textContent = cell.text || (column.name === "fp32" ? "float" : cell.reason ? "" : "…");
    box.title = layer.locked && !chosen ? "Locked: unlock the layer to change it." : cell.title;
    box.disabled = Boolean(cell.reason) || layer.locked;
    box.setAttribute("aria-pressed", String(chosen));
    if (cell.reason) box.classList.add("not");
    else if (!cell.text) box.classList.add("empty");
    if (cell.color) {
      box.style.background = cell.color;
      box.style.color = cell.ink;
    }
    if (chosen) box.classList.add("chosen");
    const place = text("td");
    place.append(box);
    row.append(place);
  });
  const lock = text("td");
  const toggle = button("lock", `Lock ${layer.name}`, () => send("lock", { layer: layer.name }));
  toggle.textContent = layer.locked ? "locked" : "lock";
  toggle.setAttribute("aria-pressed", String(layer.locked));
  lock.append(toggle);
  row.append(lock);
  return row;
}

// Arrow keys move among the cells as in a spreadsheet; Tab leaves the matrix.
function move(event, root) {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  const cell = event.target.closest("td, th");
  if (!step || !cell) return;
  const rows = [...root.querySelectorAll("tr")];
  let y = rows.indexOf(cell.parentElement);
  let x = [...cell.parentElement.children].indexOf(cell);
  for (;;) {
    y += step[0];
    x += step[1];
    const target = rows[y]?.children[x];
    if (!target) return;
    const inner = target.querySelector("button:not(:disabled)");
    if (inner) {
      event.preventDefault();
      inner.focus();
      return;
    }
  }
}

const where = (root) => {
  const focused = root.getRootNode().activeElement;
  return focused && root.contains(focused) ? focused.getAttribute("aria-label").split(",").slice(0, 2).join() : null;
};

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".matrix");
  const send = (kind, detail) => setTriggerValue("event", { kind, ...detail, at: Date.now() });
  const kept = where(root);
  root.style.setProperty("--secondary", data.secondary);
  const table = text("table");
  table.setAttribute("aria-label", "Formats by layer");
  const body = text("tbody");
  body.append(...data.layers.map((layer) => line(layer, data, send)));
  table.append(head(data, send), body);
  root.replaceChildren(table);
  root.onkeydown = (event) => move(event, root);
  if (kept) {
    const again = [...root.querySelectorAll("button")].find((b) => b.getAttribute("aria-label").split(",").slice(0, 2).join() === kept);
    if (again) again.focus({ preventScroll: true });
  }
}
