// The table twin of a figure: what is drawn, as rows, for those who would rather read, sort or take it with them.
"use strict";

const SKIPPED = new Set(["parcoords"]);  // the table of trials has these values

// A closed table below a figure, made of whatever it shows when the reader opens it. What comes back has it follow
// the figure, and is called again for a figure that was made anew. given: titles and rows in place of what is drawn.
bitnas.twin = (root, plot, name, given = null) => {
  const details = bitnas.add(root, "details", { class: "bitnas-filters bitnas-as-table" });
  bitnas.add(details, "summary", {}, "As a table");
  const body = bitnas.add(details, "div");
  let table = null;
  const fill = () => {
    details.hidden = !plot.data;
    if (!details.open || !plot.data) return;
    const { titles, rows } = given ? { titles: given[0], rows: given[1] } : bitnas.rowsOfFigure(plot);
    if (table && titles.join() === table.columns.map(({ title }) => title).join()) return table.show(rows);
    body.replaceChildren();
    const columns = titles.map((title, place) => ({ title, value: (row) => row[place], told: toldCell, isFigure: rows.every((row) => typeof row[place] !== "string") }));
    const download = (kept) => kept.map((row) => Object.fromEntries(titles.map((title, place) => [title, row[place]])));
    table = new bitnas.DataTable(body, { columns, rows, name, download });
  };
  details.addEventListener("toggle", fill);
  return () => {
    fill();
    plot.on("plotly_afterplot", fill);
  };
};

const toldCell = (value) => (typeof value === "number" ? bitnas.digits(value) : String(value ?? ""));

// Every point of a figure as a row: its series, its trial, and where it is on the axes.
bitnas.rowsOfFigure = (plot) => {
  const traces = plot.data.filter((trace) => !SKIPPED.has(trace.type) && trace.visible !== false), layout = plot._fullLayout;
  const hasNames = traces.filter((trace) => trace.name).length > 1, rows = [];
  let hasTrials = false, hasDepth = false, hasBase = false;
  for (const trace of traces) {
    const axis = (of) => layout[(trace[`${of}axis`] || of).replace(of, `${of}axis`)] || (layout.scene && layout.scene[`${of}axis`]);
    const x = named(trace.x, axis("x")), y = named(trace.y, axis("y"));
    if (trace.type === "heatmap") {
      hasDepth = true;
      linesOf(trace.z).forEach((line, down) => line.forEach((z, across) => rows.push({ trace, x: x[across], y: y[down], z })));
      continue;
    }
    const count = Math.max(x.length, y.length);
    hasDepth ||= Boolean(trace.z);
    hasBase ||= Boolean(trace.base);
    for (let i = 0; i < count; i += 1) {
      if (x[i] === null && y[i] === null) continue;  // a gap in a line
      const trial = trace.customdata && typeof trace.customdata[i] === "number" ? trace.customdata[i] : null;
      hasTrials ||= trial !== null;
      rows.push({ trace, trial, x: x[i], y: y[i], z: trace.z && trace.z[i], base: trace.base && trace.base[i] });
    }
  }
  const titleOf = (of, fallback) => {
    const [first] = traces, axis = first && (layout[(first[`${of}axis`] || of).replace(of, `${of}axis`)] || (layout.scene && layout.scene[`${of}axis`]));
    const text = (axis && axis.title && axis.title.text) || "";
    return /^Click to enter/.test(text) || !text ? fallback : asText(text);
  };
  const isKnown = (of) => rows.some((row) => row[of] !== undefined);
  const across = isKnown("x") && [hasBase ? "Length" : titleOf("x", "Name"), (row) => row.x];
  const up = isKnown("y") && [titleOf("y", "Name"), (row) => row.y], isLying = traces.some(({ orientation }) => orientation === "h");
  const parts = [
    hasNames && ["Series", ({ trace }) => asText(trace.name || "")], hasTrials && ["Trial", (row) => row.trial],
    ...(isLying ? [up, hasBase && [`Begins (${titleOf("x", "")})`, (row) => row.base], across] : [across, up]),
    hasDepth && [titleOf("z", "Value"), (row) => row.z],
  ].filter(Boolean);
  return { titles: parts.map(([title]) => title), rows: rows.map((row) => parts.map(([, of]) => of(row) ?? null)) };
};

// The values along an axis, as the axis calls them.
function named(values, axis) {
  const list = values && values.bdata ? [...plainOf(values)] : [...(values || [])];
  if (!axis || !axis.ticktext || !axis.tickvals || axis.type === "category") return list.map(asText);
  const names = new Map([...axis.tickvals].map((value, i) => [value, axis.ticktext[i]]));
  return list.map((value) => asText(names.get(value) ?? value));
}

// A name as it was before it was made fit for plotly, which knows a few tags.
const asText = (value) => (typeof value === "string" ? bitnas.unplain(value.replace(/<[^>]+>/g, "")) : value);

function linesOf(z) {
  if (!z.bdata) return z;
  const numbers = plainOf(z), [, width] = z.shape.split(",").map(Number);
  return Array.from({ length: numbers.length / width }, (_, down) => [...numbers.slice(down * width, (down + 1) * width)]);
}

// Numbers as plotly packs them: base64 of a typed array.
const TYPES = { f8: Float64Array, f4: Float32Array, i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array };
function plainOf({ bdata, dtype }) {
  const bytes = Uint8Array.from(atob(bdata), (letter) => letter.charCodeAt(0));
  return new TYPES[dtype](bytes.buffer);
}
