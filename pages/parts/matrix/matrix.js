// The layers x formats matrix. Python sends rows and columns, a click sends back one event. What a click chooses is
// marked at once and confirmed by the next data; only focus and the range being chosen are kept here.

const ROLES = { table: "table", thead: "rowgroup", tbody: "rowgroup", tr: "row", td: "cell", th: "columnheader" };

const element = (tag, cls, content) => {
  const made = document.createElement(tag);
  if (ROLES[tag]) made.setAttribute("role", ROLES[tag]);
  if (cls) made.className = cls;
  if (content !== undefined) made.textContent = content;
  return made;
};

const button = (cls, label) => {
  const made = element("button", cls);
  made.type = "button";
  made.setAttribute("aria-label", label);
  return made;
};

function head(data) {
  const row = element("tr");
  row.append(element("th", "left", "Layer"), element("th", "shape", "Shape"), element("th", "left", "Bytes"));
  const several = new Set(data.columns.map((column) => column.part)).size > 1;
  data.columns.forEach((column, index) => {
    const cell = element("th");
    const dot = element("span", "dot");
    dot.style.background = column.color;
    const pick = button("", data.chooses ? `${column.label} for all layers` : `${column.part} ${column.label}`);
    pick.dataset.column = index;
    pick.disabled = !data.chooses;
    pick.append(dot, column.label);
    if (several) pick.append(element("small", "", { weights: "W", activations: "A", both: "W+A" }[column.part]));
    pick.title = data.chooses ? `${column.help} Click: for all layers that are not locked.` : `${column.part}: ${column.help}`;
    cell.append(pick);
    row.append(cell);
  });
  row.append(element("th"));
  const part = element("thead");
  part.append(row);
  return part;
}

// A row, empty: `fill` writes into it, and again only where something changed.
function frame(layer, data) {
  const row = element("tr");
  row.dataset.layer = layer.name;
  const name = element("th");
  name.setAttribute("role", "rowheader");
  const pick = button("name", `Select layer ${layer.name}`);
  pick.title = layer.name;
  pick.append(element("b", "", layer.name), " ", element("span", "", layer.kind));
  name.append(pick);
  const bytes = element("td", "bytes");
  bytes.append(element("span", "bar"));
  row.append(name, element("td", "shape", layer.shape), bytes);
  data.columns.forEach((column, index) => {
    const place = element("td");
    const cell = button("cell", "");
    cell.dataset.column = index;
    place.append(cell);
    row.append(place);
  });
  const last = element("td");
  if (data.chooses) last.append(button("lock", `Lock ${layer.name}`));
  row.append(last);
  return row;
}

const percent = (share) => (share === null ? "–" : `${share} %`);
const shown = (entry, data) => {
  if (data.measure === "agreement" && entry[3] !== null) return entry[3].toFixed(entry[3] === 100 ? 0 : 1);
  if (data.measure === "metric" && entry[2] !== null)
    return data.percent ? entry[2].toFixed(1) : String(Number(entry[2].toPrecision(3)));
  return entry[1] >= 200 ? "=" : entry[1].toFixed(0);
};

// Widths for the longest name and shape, in digits.
function widths(root, data) {
  const longest = (text) => Math.max(0, ...data.layers.map((layer) => text(layer).length));
  root.style.setProperty("--name", `min(240px, ${longest((layer) => `${layer.name} ${layer.kind}`) + 3}ch)`);
  root.style.setProperty("--shape", `calc(${Math.max(5, longest((layer) => layer.shape))}ch + 8px)`);
  root.style.setProperty("--columns", data.columns.length);
  root.style.setProperty("--cell", `max(56px, ${Math.max(...data.columns.map((column) => column.label.length)) + 3}ch)`);
}

function fill(row, layer, data) {
  const pick = row.querySelector(".name");
  pick.setAttribute("aria-pressed", String(layer.name === data.selected));
  const bar = row.querySelector(".bar");
  bar.style.width = `${Math.max(2, 46 * layer.share)}px`;
  bar.style.background = layer.color;
  bar.title = layer.bytes;
  row.classList.toggle("locked", layer.locked);
  row.querySelectorAll(".cell").forEach((cell, index) => fillCell(cell, layer, index, data));
  const lock = row.querySelector(".lock");
  if (lock) {
    lock.textContent = layer.locked ? "locked" : "lock";
    lock.setAttribute("aria-pressed", String(layer.locked));
  }
}

function fillCell(cell, layer, index, data) {
  const column = data.columns[index];
  const entry = layer.cells[index];
  const chosen = data.chooses && layer.chosen[index];
  const no = Array.isArray(entry) && entry[0] === "x";
  const failed = Array.isArray(entry) && entry[0] === "!";
  const measured = Array.isArray(entry) && !no && !failed;
  const few = measured && entry.length > 5;
  const text = entry === 0 ? "float" : measured ? (few ? "≈ " : "") + shown(entry, data) : failed ? "!" : no ? "" : "…";
  const unit = data.measure === "sqnr_db" ? " dB" : data.measure === "metric" && !data.percent ? "" : " %";
  const said = no || failed ? entry[1] : measured ? text + unit : entry === 0 ? "float" : "not measured";
  cell.textContent = text;
  cell.className = "cell" + (no ? " not" : measured || failed ? "" : " empty") + (failed ? " failed" : "") + (chosen ? " chosen" : "");
  cell.setAttribute("aria-label", `${layer.name}, ${column.label}, ${said}${chosen ? ", chosen" : ""}`);
  cell.setAttribute("aria-pressed", String(chosen));
  cell.disabled = data.chooses && (no || layer.locked);
  const [background, ink] = measured ? data.shades[entry[0]] : ["", ""];
  cell.style.background = background;
  cell.style.color = ink;
  if (data.chooses && layer.locked && !chosen) cell.title = "Locked: unlock the layer to change it.";
  else if (measured) {
    const metric = entry[2] === null ? "" : `${data.metric} ${data.percent ? percent(entry[2]) : entry[2]}, `;
    cell.title = `${entry[1] >= 200 ? "equal to FP32" : `${entry[1]} dB output SQNR`} with only this layer quantized, ${metric}agreement ${percent(entry[3])}, file ${entry[4].toLocaleString("en")} bytes${few ? `; ${entry[5]}` : ""}`;
  } else if (no) cell.title = `Not possible: ${entry[1]}.`;
  else if (failed) cell.title = entry[1];
  else cell.title = entry === 0 ? "As opened: no damage." : "Not measured yet.";
}

const rowsOf = (root) => [...root.querySelectorAll("tbody tr")];

function between(root, one, other) {
  const rows = rowsOf(root);
  const [a, b] = [rows.indexOf(one), rows.indexOf(other)].sort((x, y) => x - y);
  return rows.slice(Math.max(0, a), b + 1);
}

function showRange(root, rows) {
  root.querySelectorAll("tr.ranged").forEach((row) => row.classList.remove("ranged"));
  if (rows.length > 1) rows.forEach((row) => row.classList.add("ranged"));
}

// Marks what was just chosen before Python has answered.
function foresee(rows, column) {
  for (const row of rows) {
    const cells = [...row.querySelectorAll(".cell")];
    if (row.classList.contains("locked") || cells[column].disabled) continue;
    row.now = undefined; // drawn again whatever Python says
    cells.forEach((cell, index) => {
      cell.classList.toggle("chosen", index === column);
      cell.setAttribute("aria-pressed", String(index === column));
    });
  }
}

function click(event, root) {
  const target = event.target.closest("button");
  if (!target || target.disabled) return;
  const { data, send } = root.quantscope;
  const row = target.closest("tbody tr");
  const column = target.dataset.column === undefined ? undefined : Number(target.dataset.column);
  if (!row) {
    if (data.chooses) foresee(rowsOf(root), column);
    send("column", [], data.columns[column]);
  } else if (target.classList.contains("lock")) send("lock", [row.dataset.layer]);
  else if (column === undefined || !data.chooses) {
    root.querySelectorAll(".name").forEach((name) => name.setAttribute("aria-pressed", String(row.contains(name))));
    rowsOf(root).forEach((each) => (each.now = undefined));
    send("select", [row.dataset.layer]);
  } else {
    const rows = event.shiftKey && root.anchor?.isConnected ? between(root, root.anchor, row) : [row];
    foresee(rows, column);
    showRange(root, []);
    root.anchor = row;
    send("cell", rows.map((r) => r.dataset.layer), data.columns[column]);
  }
}

// Arrow keys move among the cells as in a spreadsheet, with Shift they choose a range of layers; Tab leaves.
function move(event, root) {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  const cell = event.target.closest("td, th");
  if (event.key === "Escape") showRange(root, []);
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
    if (!inner) continue;
    event.preventDefault();
    inner.focus();
    const row = inner.closest("tbody tr");
    if (!event.shiftKey || !row) root.anchor = row;
    else if (!root.anchor?.isConnected) root.anchor = cell.closest("tbody tr");
    showRange(root, event.shiftKey && row && root.anchor ? between(root, root.anchor, row) : []);
    return;
  }
}

// The rows as drawn: what stays while plans change, and with it what the plan gives each layer.
function together(still, data) {
  const layers = still.layers.map((layer, index) => {
    const [chosen, locked, bits, color] = data.rows[index];
    const bytes = `${layer.bytes} of weights in FP32, now ${bits} bits each`;
    return { ...layer, bytes, color, locked: Boolean(locked), chosen: still.columns.map((_, column) => column === chosen) };
  });
  return { ...still, layers, selected: data.selected };
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".matrix");
  const before = root.quantscope;
  const send = (kind, layers, column) =>
    setTriggerValue("event", { kind, layers, format: column?.name ?? "", part: column?.part ?? "", at: Date.now() });
  const same = before?.text === data.still;
  const still = same ? before.still : JSON.parse(data.still);
  const shape = same ? before.shape : JSON.stringify([still.columns, still.chooses, still.layers.map((l) => [l.name, l.kind])]);
  const drawn = together(still, data);
  if (!same) root.style.setProperty("--secondary", still.secondary);
  if (before?.shape !== shape) {
    const table = element("table");
    table.setAttribute("aria-label", "Formats by layer");
    const body = element("tbody");
    body.append(...drawn.layers.map((layer) => frame(layer, drawn)));
    table.append(head(drawn), body);
    root.replaceChildren(table);
    widths(root, drawn);
    root.classList.toggle("tall", drawn.layers.length > 40);
    root.onclick = (event) => click(event, root);
    root.onkeydown = (event) => move(event, root);
  }
  // Colours are numbered anew for each drawing, so a row is compared with its colours written out.
  const look = [still.measure, still.metric, still.chooses];
  const rows = rowsOf(root);
  drawn.layers.forEach((layer, index) => {
    const row = rows[index];
    const now = [...data.rows[index], layer.name === data.selected].join();
    if (same && row.now === now) return;
    const shades = layer.cells.map((entry) => (Array.isArray(entry) ? (still.shades[entry[0]] ?? entry[0]) : entry));
    const content = JSON.stringify([look, layer.cells, shades]);
    if (row.now !== now || row.content !== content) fill(row, layer, drawn);
    row.now = now;
    row.content = content;
  });
  root.quantscope = { data: drawn, send, shape, still, text: data.still };
  root.querySelector("table").dataset.plan = data.plan;
}
