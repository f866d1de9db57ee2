// The further views of a search: each has a heading, a sentence, and a figure of the columns and what the reader set.
"use strict";

// A view: name, title, about, extra (the data it needs beside the columns, or null), options(columns) for its own
// select boxes, and figure(columns, state, theme, chosen, extra), which gives {traces, layout} or {why}.
bitnas.views = [];

// What the front dominates, and the best of one column, as the search went on.
bitnas.views.push({
  name: "progress",
  title: "Progress",
  about: "How much the front dominates (hypervolume, as a share of the box up to the reference), and the best value so far. A flat end says that more trials bring little.",
  extra: "history",
  options: (columns) => ({
    of: [["hypervolume", "Hypervolume"], ...[...columns.axes.keys()].map((name) => [name, `Best ${columns.axes.get(name).title.toLowerCase()}`])],
    over: [["trials", "over trials"], ["epochs", "over epochs trained"], ["time", "over time"]],
  }),
  figure: (columns, state, theme, { of, over }, history) => {
    const { ended } = columns.frame.columns;
    if (!history.steps.length) return { why: history.why || "No trial is complete yet." };
    const order = history.steps.map(([number]) => columns.placeOf.get(number)).filter((at) => at !== undefined);
    const trained = trainedBy(columns);
    const x = order.map((at, i) => (over === "trials" ? i + 1 : over === "time" ? ended[at] / 60 : trained.get(at)));
    let y;
    if (of === "hypervolume") y = history.steps.map(([, share]) => share);
    else {
      const values = columns.values(of), better = columns.axes.get(of).isMaximized ? Math.max : Math.min;
      let best = null;
      y = order.map((at) => (best = values[at] === null ? best : best === null ? values[at] : better(best, values[at])));
    }
    const title = { trials: "Complete trials", epochs: "Epochs trained, all trials together", time: "Minutes since the first trial began" }[over];
    const numbers = order.map((at) => columns.values("number")[at]);
    const line = { type: order.length > bitnas.MANY ? "scattergl" : "scatter", mode: "lines", x, y, customdata: numbers, line: { shape: "hv", color: theme.accent, width: 2 }, hoverinfo: "none" };
    const yaxis = of === "hypervolume" ? { ...bitnas.plainAxis(theme, "Hypervolume (share of the box)") } : { ...bitnas.axis(columns, of, theme), type: "linear", dtick: undefined };
    return { traces: [line], layout: bitnas.layout(theme, { xaxis: bitnas.plainAxis(theme, title), yaxis, dragmode: "zoom" }) };
  },
});

// How many epochs all trials together had been trained when each one ended.
function trainedBy(columns) {
  const { ended, epochs } = columns.frame.columns, places = [...ended.keys()].filter((at) => ended[at] !== null);
  places.sort((a, b) => ended[a] - ended[b]);
  let sum = 0;
  return new Map(places.map((at) => [at, (sum += epochs[at] || 0)]));
}

// Which choices tell the values of a column apart.
bitnas.views.push({
  name: "importance",
  title: "Which choices matter",
  about: "For each choice, the share of the variance between trials that its options explain (η², of the trials that are shown). Choices that are made together share what they explain, and with few trials chance explains some.",
  extra: null,
  options: (columns) => ({ of: [...columns.axes.keys()].map((name) => [name, columns.axes.get(name).title]) }),
  figure: (columns, state, theme, { of }) => {
    const shares = bitnas.importance(columns, of, bitnas.placesShown(columns, state)).slice(0, 20).reverse();
    if (!shares.length) return { why: "Three trials or more with this value, and a choice with two options, are needed." };
    const bar = { type: "bar", orientation: "h", x: shares.map(([, share]) => share), y: shares.map(([name]) => bitnas.plain(name)), marker: { color: theme.accent }, hovertemplate: "%{y}: %{x:.1%}<extra></extra>" };
    return { traces: [bar], layout: bitnas.layout(theme, { margin: { l: 230, r: 20, t: 10, b: 50 }, xaxis: { ...bitnas.plainAxis(theme, "Share of the variance explained"), tickformat: ".0%", rangemode: "tozero" }, yaxis: { color: theme.ink, automargin: true }, dragmode: "zoom" }) };
  },
});

bitnas.placesShown = (columns, state) => [...columns.frame.columns.number.keys()].filter((at) => state.shows(columns, at));

// (choice, η²), the largest first: the variance between the means of its options, as a share of the whole.
bitnas.importance = (columns, of, places) => {
  const values = columns.values(of), known = places.filter((at) => values[at] !== null);
  if (known.length < 3) return [];
  const mean = known.reduce((sum, at) => sum + values[at], 0) / known.length;
  const total = known.reduce((sum, at) => sum + (values[at] - mean) ** 2, 0);
  if (total === 0) return [];
  const found = [];
  for (const [name, choice] of columns.choices) {
    const sums = new Map();
    for (const at of known) {
      const group = sums.get(choice.taken[at]) || [0, 0];
      sums.set(choice.taken[at], [group[0] + values[at], group[1] + 1]);
    }
    if (sums.size < 2) continue;
    let between = 0;
    for (const [sum, count] of sums.values()) between += count * (sum / count - mean) ** 2;
    found.push([name, between / total]);
  }
  return found.sort((one, other) => other[1] - one[1]);
};

// A column's values for each option of a choice.
bitnas.views.push({
  name: "options",
  title: "What each option gives",
  about: "Each box holds the middle half of the trials with an option, its line the median. Trials that are faded elsewhere are left out.",
  extra: null,
  options: (columns) => ({
    of: [...columns.axes.keys()].map((name) => [name, columns.axes.get(name).title]),
    by: [...columns.choices.keys()].filter((name) => columns.categories(name).length > 1).map((name) => [name, name]),
  }),
  figure: (columns, state, theme, { of, by }) => {
    if (!by) return { why: "This search has no choice with two options." };
    const values = columns.values(of), groups = new Map(columns.categories(by).map((each) => [each, []]));
    for (const at of bitnas.placesShown(columns, state)) {
      if (values[at] === null) continue;
      const category = columns.category(by, at);
      if (!groups.has(category)) groups.set(category, []);
      groups.get(category).push(at);
    }
    const colouring = bitnas.colouring(columns, by, columns.frame.states), number = columns.values("number");
    const traces = [...groups].filter(([, places]) => places.length).map(([category, places]) => ({
      type: "box", name: bitnas.plain(`${bitnas.short(category)} (${places.length})`), y: places.map((at) => values[at]), customdata: places.map((at) => number[at]),
      boxpoints: places.length <= 60 ? "all" : "outliers", jitter: 0.5, pointpos: 0, marker: { size: 4, color: colouring.colours.get(category) || theme.muted }, hoverinfo: "y",
    }));
    if (!traces.length) return { why: "No trial that is shown has this value." };
    return { traces, layout: bitnas.layout(theme, { yaxis: bitnas.axis(columns, of, theme), xaxis: { color: theme.ink, title: { text: by } }, dragmode: "zoom" }) };
  },
});

// Accuracy epoch by epoch.
bitnas.views.push({
  name: "curves",
  title: "Learning curves",
  about: "Each line is a training. One that ends in a triangle was stopped early, at that epoch.",
  extra: "curves",
  options: () => ({}),
  figure: (columns, state, theme, _chosen, { curves, of, objective }) => {
    const numbers = Object.keys(curves).map(Number).filter((number) => columns.placeOf.has(number));
    if (!numbers.length) return { why: "No trial was trained for an epoch yet." };
    const front = new Set(columns.frame.front), colours = columns.frame.states, many = numbers.length > 100;
    const isShown = (number) => state.shows(columns, columns.placeOf.get(number));
    const traces = numbers.sort((a, b) => isShown(a) - isShown(b)).map((number) => {
      const stateOf = columns.frame.columns.state[columns.placeOf.get(number)], shown = isShown(number);
      const colour = !shown ? theme.faded : front.has(number) ? theme.accent : colours[stateOf];
      const last = curves[number].length - 1;
      return {
        type: many ? "scattergl" : "scatter", mode: "lines+markers", x: curves[number].map(([epoch]) => epoch), y: curves[number].map(([, value]) => value),
        customdata: curves[number].map(() => number), line: { color: colour, width: front.has(number) && shown ? 2.5 : 1 }, opacity: shown ? 0.8 : 0.3, hoverinfo: "none",
        marker: { color: colour, symbol: curves[number].map((_, i) => (i === last && stateOf === "pruned" ? "triangle-down" : "circle")), size: curves[number].map((_, i) => (i === last ? (stateOf === "pruned" ? 9 : 5) : 0.1)) },
      };
    });
    const axis = columns.axes.has(objective) ? bitnas.axis(columns, objective, theme) : bitnas.plainAxis(theme, objective);
    const layout = bitnas.layout(theme, { xaxis: bitnas.plainAxis(theme, "Epoch"), yaxis: { ...axis, type: "linear", dtick: undefined }, dragmode: "zoom" });
    return { traces, layout, note: numbers.length < of ? `Drawn for ${numbers.length} of ${of} trainings: the front, and others evenly taken.` : "" };
  },
});

// What each worker did when.
bitnas.views.push({
  name: "timeline",
  title: "Who worked when",
  about: "Each bar is a trial, from its beginning to its end, on the line of the worker that ran it last. Gaps are waiting, measuring or nothing to do.",
  extra: null,
  options: () => ({}),
  figure: (columns, state, theme) => {
    const { began, ended, worker, number } = columns.frame.columns, { workers } = columns.frame;
    const places = [...began.keys()].filter((at) => began[at] !== null && ended[at] !== null && worker[at] >= 0);
    if (!places.length) return { why: "No trial has ended yet." };
    const isLarge = places.length > bitnas.MANY, begins = (at) => began[at] / 60, ends = (at) => ended[at] / 60, who = (at) => bitnas.plain(workers[worker[at]]);
    const traces = bitnas.STATES.flatMap((name) => {
      const of = places.filter((at) => columns.frame.columns.state[at] === name), colour = columns.frame.states[name];
      const numbers = (there) => there.map((at) => number[at]);
      if (!isLarge)
        return [{
          type: "bar", orientation: "h", name, base: of.map(begins), x: of.map((at) => ends(at) - begins(at)), y: of.map(who), customdata: numbers(of), hoverinfo: "none",
          marker: { color: of.map((at) => (state.shows(columns, at) ? colour : theme.faded)), line: { width: 0.5, color: theme.paper } },
        }];
      const [shown, hidden] = [true, false].map((wanted) => of.filter((at) => state.shows(columns, at) === wanted));
      return [[hidden, theme.faded], [shown, colour]].map(([there, ink]) => ({
        type: "scattergl", mode: "lines", name, x: there.flatMap((at) => [begins(at), ends(at), null]), y: there.flatMap((at) => [who(at), who(at), null]),
        customdata: there.flatMap((at) => [number[at], number[at], null]), hoverinfo: "none", line: { width: 12, color: ink },
      }));
    }).filter((trace) => trace.x.length);
    const note = isLarge ? `${places.length.toLocaleString("en")} trials, drawn with WebGL.` : "";
    return { traces, note, layout: bitnas.layout(theme, { barmode: "overlay", margin: { l: 150, r: 20, t: 10, b: 50 }, xaxis: bitnas.plainAxis(theme, "Minutes since the first trial began"), yaxis: { color: theme.ink, automargin: true, type: "category", tickvals: workers.map(bitnas.plain), ticktext: workers.map((name) => bitnas.plain(bitnas.short(name))) }, dragmode: "zoom" }) };
  },
});
