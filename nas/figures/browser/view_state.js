// What a reader has set: axes, colour, limits, filters, selection. It lives in the address, so it can be shared.
"use strict";

bitnas.ViewState = class {
  constructor(columns, query) {
    const given = new URLSearchParams(query), begins = columns.frame.begins;
    const axis = (name, fallback) => (columns.axes.has(given.get(name)) ? given.get(name) : fallback);
    const first = columns.frame.axes.length ? columns.frame.axes[0].name : null;
    this.x = axis("x", columns.axes.has(begins.x) ? begins.x : first);
    this.y = axis("y", columns.axes.has(begins.y) ? begins.y : first);
    this.z = axis("z", "");
    const colour = given.get("colour");
    const isKnown = colour === "state" || columns.axes.has(colour) || columns.choices.has(colour);
    this.colour = isKnown ? colour : columns.axes.has(begins.colour) ? begins.colour : "state";
    this.limits = new Map();  // of a column, as a value
    this.resets = 0;  // how often all of it was taken back
    this.parallel = given.has("columns") ? unjoined(given.get("columns")).filter((name) => columns.axes.has(name) || columns.choices.has(name)) : null;
    this.chosen = new Map();  // of "VIEW.SELECT", its option
    this.only = new Map();  // of "state" or a choice, a set of categories
    this.selected = given.has("selected") ? new Set(bitnas.numbersOf(given.get("selected"))) : null;
    this.zoom = given.get("zoom") ? given.get("zoom").split(",").map(Number) : null;
    if (this.zoom && (this.zoom.length !== 4 || !this.zoom.every(Number.isFinite))) this.zoom = null;
    for (const [name, text] of given) {
      if (name.startsWith("view.")) this.chosen.set(name.slice(5), text);
      if (name.startsWith("limit.") && columns.axes.has(name.slice(6)) && text.trim() && Number.isFinite(Number(text)))
        this.limits.set(name.slice(6), Number(text));
      const of = name.startsWith("only.") ? name.slice(5) : "";
      if (of === "state" || columns.choices.has(of)) this.only.set(of, new Set(unjoined(text)));
    }
  }

  // The query of an address that leads here; what is as at the beginning is left out.
  query(columns) {
    const begins = columns.frame.begins, told = new URLSearchParams();
    for (const name of ["x", "y", "colour"]) if (this[name] !== begins[name]) told.set(name, this[name]);
    if (this.z) told.set("z", this.z);
    for (const [name, limit] of this.limits) told.set(`limit.${name}`, String(Number(limit.toPrecision(6))));
    for (const [name, kept] of this.only) told.set(`only.${name}`, joined(kept));
    if (this.selected !== null) told.set("selected", bitnas.rangesOf(this.selected));
    if (this.parallel) told.set("columns", joined(this.parallel));
    for (const [name, option] of this.chosen) told.set(`view.${name}`, option);
    if (this.zoom) told.set("zoom", this.zoom.map((value) => Number(value.toPrecision(5))).join(","));
    return told.toString();
  }

  get isFiltering() {
    return this.limits.size > 0 || this.only.size > 0 || this.selected !== null;
  }

  // Whether a trial is within the limits and filters, whatever is selected.
  passes(columns, place) {
    for (const [name, limit] of this.limits) if (!columns.keeps(name, limit, place)) return false;
    for (const [name, kept] of this.only) if (!kept.has(columns.category(name, place))) return false;
    return true;
  }

  // Whether a trial is in what the views show in full.
  shows(columns, place) {
    return this.passes(columns, place) && (this.selected === null || this.selected.has(columns.values("number")[place]));
  }

  clear() {
    this.limits.clear();
    this.only.clear();
    this.selected = null;
    this.zoom = null;
    this.resets += 1;
  }
};

// Names in one text, whatever they hold.
const joined = (names) => [...names].map((name) => name.replaceAll("%", "%25").replaceAll("|", "%7C")).join("|");
const unjoined = (text) => text.split("|").map((name) => name.replaceAll("%7C", "|").replaceAll("%25", "%"));

// Numbers as ranges, such as "0-5,9": a selection of thousands fits into an address.
bitnas.rangesOf = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b), told = [];
  for (let i = 0; i < sorted.length; ) {
    let j = i;
    while (j + 1 < sorted.length && sorted[j + 1] === sorted[j] + 1) j += 1;
    told.push(i === j ? `${sorted[i]}` : `${sorted[i]}-${sorted[j]}`);
    i = j + 1;
  }
  return told.join(",");
};

bitnas.numbersOf = (text) => {
  const numbers = [];
  for (const part of text.split(",")) {
    const match = /^(\d{1,7})(?:-(\d{1,7}))?$/.exec(part);
    if (!match) continue;
    const last = Math.min(Number(match[2] ?? match[1]), Number(match[1]) + 1_000_000);
    for (let number = Number(match[1]); number <= last; number += 1) numbers.push(number);
  }
  return numbers;
};
