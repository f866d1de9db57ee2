// Large figures above the views: the best member of the front in each objective, and how large the front is.
"use strict";

const BEST = { accuracy: "Most accurate", latency: "Fastest of the front", size: "Smallest of the front" };
const KNOWN_BY_UNIT = ["accuracy", "latency", "size"];  // others are told by their titles

bitnas.drawMerits = (root, columns) => {
  const { frame } = columns, front = frame.front.map((number) => columns.placeOf.get(number));
  root.replaceChildren();
  if (!front.length) return;
  const kept = front.filter((at) => !frame.columns.over[at]), among = kept.length ? kept : front;
  const tile = (label, figure, note) => {
    const box = bitnas.add(root, "div", { class: "bitnas-merit" });
    bitnas.add(box, "div", { class: "bitnas-unit" }, label);
    bitnas.add(box, "div", { class: "bitnas-large" }, figure);
    bitnas.add(box, "div", { class: "bitnas-unit bitnas-small" }, note);
  };
  const told = (name, at) => (KNOWN_BY_UNIT.includes(name) ? "" : `${columns.axes.get(name).title} `) + columns.told(name, columns.values(name)[at]);
  for (const name of frame.objectives) {
    const sign = columns.axes.get(name).isMaximized ? -1 : 1, of = columns.values(name);
    const known = among.filter((at) => of[at] !== null);
    if (!known.length) continue;
    const best = known.reduce((found, at) => (sign * of[at] < sign * of[found] ? at : found));
    const costs = [...columns.axes.keys()].filter((axis) => axis !== "measured_latency" && columns.values(axis)[best] !== null);
    const title = BEST[name] || `Best ${columns.axes.get(name).title.toLowerCase()}`;
    tile(`${title}${kept.length ? "" : ", over the limit"}`, columns.told(name, of[best]), `trial ${columns.values("number")[best]}: ${costs.map((axis) => told(axis, best)).join(", ")}`);
  }
  const over = kept.length && kept.length < front.length ? `, ${front.length - kept.length} of them over the limit` : "";
  tile("On the front", String(front.length), `no trial beats them in all objectives${over}`);
};
