// A table without any library: sorted by its headings, searched by a word, downloaded, as long as the reader asks for.
"use strict";

const FIRST_ROWS = 50;  // at the beginning, and how many more at a time

// columns: [{ title, value(row), told(value), isFigure, colour(value), path(value) }], rows: anything, download(rows):
// the objects that are written into a file, open(value): what a click on a path does; none follows the link.
bitnas.DataTable = class {
  constructor(root, { columns, rows, name, download, open = null }) {
    Object.assign(this, { root, columns, rows, name, download, open, most: FIRST_ROWS, by: null, sign: 1, word: "" });
    this.bar = bitnas.add(root, "div", { class: "bitnas-options" });
    const search = bitnas.add(this.bar, "input", { type: "search", placeholder: "Filter", "aria-label": "Rows that hold" });
    search.addEventListener("input", () => {
      Object.assign(this, { word: search.value.toLowerCase(), most: FIRST_ROWS });
      this.draw();
    });
    const button = (text, act) => bitnas.add(this.bar, "button", { type: "button" }, text).addEventListener("click", act);
    button("Download CSV", () => bitnas.download(`${name}.csv`, bitnas.csvOf(download(this.kept())), "text/csv"));
    button("Download JSON", () => bitnas.download(`${name}.json`, bitnas.jsonOf(download(this.kept())), "application/json"));
    this.body = bitnas.add(root, "div");
    this.draw();
  }

  show(rows) {
    Object.assign(this, { rows, most: FIRST_ROWS });
    this.draw();
  }

  told(column, row) {
    const value = column.value(row);
    return column.told ? column.told(value) : String(value ?? "");
  }

  // The rows with the word, in the order of the column that the reader has chosen; those without a value last.
  kept() {
    const { columns, by, sign, word } = this;
    const found = word ? this.rows.filter((row) => columns.some((column) => this.told(column, row).toLowerCase().includes(word))) : this.rows;
    const isMissing = (value) => value === null || value === undefined || value === "";
    const order = (a, b) => (typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b), "en", { numeric: true }) : a - b);
    if (by === null) return found;
    const keyed = found.map((row) => [columns[by].value(row), row]);
    keyed.sort(([a], [b]) => isMissing(a) - isMissing(b) || sign * order(a, b));
    return keyed.map(([, row]) => row);
  }

  draw() {
    const { columns, by, sign } = this, rows = this.kept();
    this.body.replaceChildren();
    const table = bitnas.add(bitnas.add(this.body, "div", { class: "bitnas-scroll" }), "table", { class: "bitnas-table" });
    const head = bitnas.add(bitnas.add(table, "thead"), "tr");
    columns.forEach(({ title }, place) => {
      const cell = bitnas.add(head, "th", { scope: "col", "aria-sort": place === by ? (sign > 0 ? "ascending" : "descending") : "none" });
      bitnas.add(cell, "button", { type: "button" }, `${title}${place === by ? (sign > 0 ? " ↑" : " ↓") : ""}`).addEventListener("click", () => {
        Object.assign(this, { sign: place === by ? -sign : 1, by: place });
        this.draw();
        this.body.querySelectorAll("th button")[place].focus();
      });
    });
    const body = bitnas.add(table, "tbody");
    for (const row of rows.slice(0, this.most)) this.drawRow(bitnas.add(body, "tr"), row);
    const foot = bitnas.add(this.body, "div", { class: "bitnas-options" });
    bitnas.add(foot, "span", { class: "bitnas-about" }, `${Math.min(this.most, rows.length)} of ${rows.length.toLocaleString("en")} rows`);
    if (rows.length > this.most)
      bitnas.add(foot, "button", { type: "button" }, "Show more").addEventListener("click", () => {
        this.most += FIRST_ROWS;
        this.draw();
      });
  }

  drawRow(line, row) {
    for (const column of this.columns) {
      const cell = bitnas.add(line, "td", column.isFigure ? { class: "bitnas-figure" } : {}), value = column.value(row);
      if (column.colour) cell.style.color = column.colour(value);
      if (!column.path) cell.textContent = this.told(column, row);
      else
        bitnas.add(cell, "a", { href: column.path(value), class: "bitnas-link" }, this.told(column, row)).addEventListener("click", (event) => {
          if (!this.open) return;
          event.preventDefault();
          this.open(value);
        });
    }
  }
};

// The trials of a search as such a table.
bitnas.trialsTable = (root, columns, source) => {
  const values = (name) => (at) => columns.values(name)[at];
  const figures = [...columns.axes.keys()].map((name) => ({ title: columns.title(name), value: values(name), told: (value) => columns.told(name, value), isFigure: true }));
  const choices = [...columns.choices.keys()].filter((name) => name.startsWith("most ")).map((name) => ({ title: name, value: (at) => columns.category(name, at) }));
  const all = [...columns.values("number").keys()], number = columns.values("number");
  const table = new bitnas.DataTable(root, {
    columns: [
      { title: "Trial", value: values("number"), path: source.trialPath },
      { title: "State", value: values("state"), colour: (state) => columns.frame.states[state] },
      ...figures, ...choices, { title: "Note", value: values("note") },
    ],
    rows: all, name: "trials", download: (places) => bitnas.rowsOf(columns, places), open: source.open,
  });
  return (numbers) => table.show(numbers === null ? all : all.filter((at) => numbers.has(number[at])));
};
