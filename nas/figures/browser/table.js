// The trials as rows: the table's columns, and what is downloaded of it.
"use strict";

// What the grid keeps of a trial; the cells are read from the columns as they come into sight.
bitnas.gridRows = (columns, source) =>
  columns.values("number").map((number, at) => ({ id: String(number), number, at, link: `[${number}](${source.trialPath(number)})` }));

bitnas.columnDefs = (columns) => {
  const colours = columns.frame.states, front = new Set(columns.frame.front);
  const of = (name) => ({ data }) => columns.frame.columns[name][data.at];
  const figures = [...columns.axes.keys()].map((name) => ({
    colId: name, valueGetter: of(name), headerName: columns.title(name), type: "rightAligned", filter: "agNumberColumnFilter", minWidth: 125,
    valueFormatter: ({ value }) => columns.told(name, value).replace(new RegExp(` ${columns.axes.get(name).unit}$`), ""),
  }));
  const choices = [...columns.choices.keys()].map((name) => ({
    colId: `choice ${name}`, valueGetter: ({ data }) => columns.category(name, data.at), headerName: name, hide: !name.startsWith("most "), minWidth: 130,
  }));
  return [
    { field: "link", headerName: "Trial", minWidth: 80, width: 90, cellRenderer: "markdown", comparator: (a, b, one, other) => one.data.number - other.data.number },
    { colId: "state", valueGetter: of("state"), headerName: "State", minWidth: 115, cellStyle: ({ value }) => ({ color: colours[value], fontWeight: 600 }) },
    { colId: "front", valueGetter: ({ data }) => (front.has(data.number) ? "yes" : ""), headerName: "On the front", minWidth: 90 },
    ...figures, ...choices,
    { colId: "epochs", valueGetter: of("epochs"), headerName: "Epochs", type: "rightAligned", minWidth: 110, filter: "agNumberColumnFilter" },
    { colId: "digest", valueGetter: of("digest"), headerName: "Digest", hide: true, cellStyle: { fontFamily: "monospace" } },
    { colId: "note", valueGetter: of("note"), headerName: "Note", minWidth: 150, wrapText: true, autoHeight: true },
  ];
};

// The trials at `places` as they are downloaded: one object each, with every choice.
bitnas.rowsOf = (columns, places) => {
  const { frame } = columns, front = new Set(frame.front);
  return places.map((at) => {
    const number = frame.columns.number[at], own = ["epochs", "digest", "note"], taken = new Set(["number", "state", "front", ...own, ...columns.axes.keys()]);
    return Object.fromEntries([
      ["number", number], ["state", frame.columns.state[at]], ["front", front.has(number) ? "yes" : ""],
      ...[...columns.axes.keys()].map((name) => [name, frame.columns[name][at]]),
      ...[...columns.choices.keys()].map((name) => [taken.has(name) ? `choice ${name}` : name, columns.category(name, at)]),
      ...own.map((name) => [name, frame.columns[name][at]]),
    ]);
  });
};

// Text of a spreadsheet. What would be a formula there gets an apostrophe before it, which makes it text.
bitnas.csvOf = (rows) => {
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const names = rows.length ? Object.keys(rows[0]) : [];
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\r\n");
};

bitnas.jsonOf = (rows) => JSON.stringify(rows, null, 1);

bitnas.download = (name, text, type) => {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([text], { type }));
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
};
