// The trials as rows: the table's columns, and what is downloaded of it.
"use strict";

// One object a trial; a column's dots are left out of its field, which the grid would take for a path.
bitnas.rowsOf = (columns, source) => {
  const { frame } = columns, front = new Set(frame.front);
  return frame.columns.number.map((number, at) => {
    const row = { id: String(number), link: `[${number}](${source.trialPath(number)})`, number, state: frame.columns.state[at], front: front.has(number) ? "yes" : "" };
    for (const name of columns.axes.keys()) row[fieldOf(name)] = frame.columns[name][at];
    for (const name of columns.choices.keys()) row[fieldOf(name)] = columns.category(name, at);
    return { ...row, epochs: frame.columns.epochs[at], digest: frame.columns.digest[at], note: frame.columns.note[at] };
  });
};

const fieldOf = (name) => name.replaceAll(".", "_");

bitnas.columnDefs = (columns) => {
  const colours = columns.frame.states;
  const figures = [...columns.axes.keys()].map((name) => ({
    field: fieldOf(name), headerName: columns.title(name), type: "rightAligned", filter: "agNumberColumnFilter", minWidth: 95,
    valueFormatter: ({ value }) => columns.told(name, value).replace(new RegExp(` ${columns.axes.get(name).unit}$`), ""),
  }));
  const choices = [...columns.choices.keys()].map((name) => ({ field: fieldOf(name), headerName: name, hide: !name.startsWith("most ") }));
  return [
    { field: "link", headerName: "Trial", minWidth: 80, width: 90, cellRenderer: "markdown", comparator: (a, b, one, other) => one.data.number - other.data.number },
    { field: "state", headerName: "State", minWidth: 100, cellStyle: ({ value }) => ({ color: colours[value], fontWeight: 600 }) },
    { field: "front", headerName: "On the front", minWidth: 90 },
    ...figures, ...choices,
    { field: "epochs", headerName: "Epochs", type: "rightAligned", minWidth: 90, filter: "agNumberColumnFilter" },
    { field: "digest", headerName: "Digest", minWidth: 140, cellStyle: { fontFamily: "monospace" } },
    { field: "note", headerName: "Note", minWidth: 150, wrapText: true, autoHeight: true },
  ];
};

// Text of a spreadsheet. What would be a formula there gets an apostrophe before it, which makes it text.
bitnas.csvOf = (rows) => {
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const names = rows.length ? Object.keys(rows[0]).filter((name) => name !== "id" && name !== "link") : [];
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\r\n");
};

bitnas.jsonOf = (rows) => JSON.stringify(rows.map(({ id, link, ...row }) => row), null, 1);

bitnas.download = (name, text, type) => {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([text], { type }));
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
};
