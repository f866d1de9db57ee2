// A table of trials without any library: sorted by its headings, as long as the reader asks for.
"use strict";

const ROWS = 50;  // at the beginning, and how many more at a time

bitnas.PlainTable = class {
  constructor(root, columns, source) {
    Object.assign(this, { root, columns, source, shown: null, most: ROWS, by: "number", sign: 1 });
    const choices = [...columns.choices.keys()].filter((name) => name.startsWith("most "));
    this.fields = ["number", "state", ...columns.axes.keys(), ...choices, "note"];
    this.draw();
  }

  show(numbers) {
    this.shown = numbers;
    this.most = ROWS;
    this.draw();
  }

  value(field, at) {
    if (this.columns.choices.has(field)) return this.columns.category(field, at);
    return this.columns.values(field)[at];
  }

  draw() {
    const { columns, by, sign } = this, number = columns.values("number");
    const places = [...number.keys()].filter((at) => this.shown === null || this.shown.has(number[at]));
    const keyed = places.map((at) => [this.value(by, at), at]);
    const isMissing = (value) => value === null || value === undefined || value === "";
    keyed.sort(([a], [b]) => isMissing(a) - isMissing(b) || sign * (typeof a === "string" ? a.localeCompare(b) : a - b));
    this.root.replaceChildren();
    const table = bitnas.add(bitnas.add(this.root, "div", { class: "bitnas-scroll" }), "table", { class: "bitnas-table" });
    const head = bitnas.add(bitnas.add(table, "thead"), "tr");
    for (const field of this.fields) {
      const cell = bitnas.add(head, "th", { "aria-sort": field === by ? (sign > 0 ? "ascending" : "descending") : "none" });
      const title = field === "number" ? "Trial" : columns.axes.has(field) ? columns.title(field) : field[0].toUpperCase() + field.slice(1);
      bitnas.add(cell, "button", { type: "button" }, `${title}${field === by ? (sign > 0 ? " ↑" : " ↓") : ""}`).addEventListener("click", () => {
        Object.assign(this, { sign: field === by ? -sign : 1, by: field });
        this.draw();
      });
    }
    const body = bitnas.add(table, "tbody");
    for (const [, at] of keyed.slice(0, this.most)) {
      const row = bitnas.add(body, "tr");
      for (const field of this.fields) {
        const cell = bitnas.add(row, "td"), value = this.value(field, at);
        if (field === "number") {
          bitnas.add(cell, "a", { href: this.source.trialPath(value), class: "bitnas-link" }, value).addEventListener("click", (event) => {
            event.preventDefault();
            this.source.open(value);
          });
        } else cell.textContent = columns.axes.has(field) ? columns.told(field, value) : (value ?? "");
        if (columns.axes.has(field)) cell.className = "bitnas-figure";
        if (field === "state") cell.style.color = columns.frame.states[value];
      }
    }
    const chosen = () => bitnas.rowsOf(columns, keyed.map(([, at]) => at));
    const bar = bitnas.add(this.root, "div", { class: "bitnas-options" });
    bitnas.add(bar, "span", { class: "bitnas-about" }, `${Math.min(this.most, keyed.length)} of ${keyed.length.toLocaleString("en")} rows`);
    if (keyed.length > this.most)
      bitnas.add(bar, "button", { type: "button" }, "Show more").addEventListener("click", () => {
        this.most += ROWS;
        this.draw();
      });
    bitnas.add(bar, "button", { type: "button" }, "Download CSV").addEventListener("click", () => bitnas.download("trials.csv", bitnas.csvOf(chosen()), "text/csv"));
    bitnas.add(bar, "button", { type: "button" }, "Download JSON").addEventListener("click", () => bitnas.download("trials.json", bitnas.jsonOf(chosen()), "application/json"));
  }
};
