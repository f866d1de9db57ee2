// A search's trials as columns (nas/figures/frame.py): values, what keeps limits, and what no other beats.
"use strict";
window.bitnas = window.bitnas || {};

bitnas.Columns = class {
  constructor(frame) {
    this.frame = frame;
    this.size = frame.columns.number.length;
    this.axes = new Map(frame.axes.map((axis) => [axis.name, axis]));
    this.choices = new Map(frame.choices.map((choice) => [choice.name, choice]));
    this.placeOf = new Map(frame.columns.number.map((number, place) => [number, place]));
  }

  values(name) {
    return this.frame.columns[name];
  }

  // The text of a value, with its unit.
  told(name, value) {
    if (value === null || value === undefined) return "—";
    const axis = this.axes.get(name);
    if (axis && axis.isShare) return `${(100 * value).toFixed(1)}%`;
    return `${bitnas.digits(value)}${axis && axis.unit ? ` ${axis.unit}` : ""}`;
  }

  title(name) {
    const axis = this.axes.get(name);
    if (!axis) return name;
    return axis.unit ? `${axis.title} (${axis.unit})` : axis.title;
  }

  // What a column calls a trial: a state, or the option of a choice.
  category(name, place) {
    if (name === "state") return this.frame.columns.state[place];
    const choice = this.choices.get(name);
    return choice.taken[place] < 0 ? "none" : choice.options[choice.taken[place]];
  }

  // Every category of a column, in its order.
  categories(name) {
    if (name !== "state") return this.choices.get(name).options;
    return bitnas.STATES.filter((state) => this.frame.columns.state.includes(state));
  }

  // The lowest and the highest value of a column; null where it has none.
  range(name) {
    let low = Infinity, high = -Infinity;
    for (const value of this.values(name)) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return low <= high ? [low, high] : null;
  }

  isComplete(place) {
    return this.frame.columns.state[place] === "complete";
  }

  // Places of the complete trials among `places` that no other of them beats in all of the named columns.
  front(names, places) {
    const signs = names.map((name) => (this.axes.get(name).isMaximized ? -1 : 1));
    const columns = names.map((name) => this.values(name));
    const known = places.filter((at) => this.isComplete(at) && columns.every((column) => column[at] !== null));
    const losses = new Map(known.map((at) => [at, columns.map((column, i) => signs[i] * column[at])]));
    // Whoever beats a trial comes before it in this order, so a look at the front so far is enough.
    known.sort((a, b) => compare(losses.get(a), losses.get(b)) || a - b);
    const front = [];
    if (names.length === 2) {  // in the plane the last of other losses is the only one to look at
      let best = Infinity, kept = null;
      for (const at of known) {
        const loss = losses.get(at);
        if (loss[1] < best || (kept !== null && compare(loss, kept) === 0)) {
          front.push(at);
          best = loss[1];
          kept = loss;
        }
      }
      return front;
    }
    for (const at of known) {
      const loss = losses.get(at);
      if (!front.some((other) => dominates(losses.get(other), loss))) front.push(at);
    }
    return front;
  }

  // The best complete trial among `places`, as `nas export` chooses it: by the search's objectives in their order, then
  // by accuracy, latency and size; a latency that was measured counts before one that was predicted. null where none is.
  // One that is over a limit of the search, by what was measured, is never exported.
  best(places) {
    const names = [...new Set([...this.frame.objectives, "accuracy", "latency", "size"])].filter((name) => this.axes.has(name));
    const measured = this.values("measured_latency");
    const value = (name, at) => (name === "latency" && measured && measured[at] !== null ? measured[at] : this.values(name)[at]);
    const losses = (at) => names.map((name) => (value(name, at) === null ? Infinity : (this.axes.get(name).isMaximized ? -1 : 1) * value(name, at)));
    let found = null;
    for (const at of places) {
      if (!this.isComplete(at) || this.frame.columns.over[at] || this.values(names[0])[at] === null) continue;
      if (found === null || compare(losses(at), losses(found)) < 0) found = at;
    }
    return found;
  }

  // Whether a trial is within a limit; one without a value is not.
  keeps(name, limit, place) {
    const value = this.values(name)[place];
    if (value === null) return false;
    return this.axes.get(name).isMaximized ? value >= limit : value <= limit;
  }
};

// A text that plotly would take for HTML where it holds some, as it stands.
bitnas.plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

// And back, for tables and files.
bitnas.unplain = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

const LONGEST = 24;

// What fits beside an axis.
bitnas.short = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);

bitnas.STATES = ["complete", "running", "queued", "paused", "pruned", "infeasible", "failed"];

// Four digits that count, without a power of ten where people would not write one.
bitnas.digits = (value) => {
  if (value === 0 || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e7)) return String(Number(value.toPrecision(4)));
  return value.toPrecision(3);
};

function compare(one, other) {
  for (let i = 0; i < one.length; i += 1) if (one[i] !== other[i]) return one[i] - other[i];
  return 0;
}

function dominates(one, other) {
  return compare(one, other) !== 0 && one.every((loss, i) => loss <= other[i]);
}
