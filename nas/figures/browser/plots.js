// The figures of the linked views, as plotly takes them: the front in two and three objectives, all choices at once.
"use strict";

bitnas.MANY = 2000;  // points from which on WebGL draws them
bitnas.PALETTE = ["#3b7dd8", "#e8890c", "#2f9e6e", "#c2488a", "#8a6fd1", "#b59f00", "#d1495b", "#2aa7b8", "#8d6e63", "#6b7785"];
bitnas.SCALE = [[0, "#5ec962"], [0.35, "#21918c"], [0.7, "#3b6fb0"], [1, "#7a3fa0"]];
bitnas.SYMBOLS = {
  complete: "circle", running: "diamond", queued: "circle-open", paused: "square", pruned: "triangle-down",
  infeasible: "x", failed: "cross",
};

// Read once for light and once for dark: asking the page for its style makes it lay itself out.
bitnas.theme = () => (themes[bitnas.isDark()] ??= readTheme());

const themes = {};
const readTheme = () => {
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
  return { ink: of("--bitnas-ink"), muted: of("--bitnas-muted"), grid: of("--bitnas-grid"), paper: of("--bitnas-paper"),
    accent: of("--bitnas-accent"), limit: of("--bitnas-limit"), faded: of("--bitnas-faded") };
};

bitnas.isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

// What makes a figure that was drawn elsewhere look like those here.
bitnas.themeOf = (plot, theme) => {
  const update = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", "font.color": theme.ink, "hoverlabel.bgcolor": theme.paper, "modebar.bgcolor": "rgba(0,0,0,0)", "modebar.color": theme.muted, "modebar.activecolor": theme.ink };
  for (const name of Object.keys(plot._fullLayout).filter((each) => /^[xy]axis\d*$/.test(each)))
    Object.assign(update, { [`${name}.gridcolor`]: theme.grid, [`${name}.color`]: theme.ink, [`${name}.tickfont.color`]: theme.ink, [`${name}.title.font.color`]: theme.ink });
  return update;
};

// The layout that all figures share.
bitnas.layout = (theme, more) => ({
  font: { family: "system-ui, sans-serif", size: 13, color: theme.ink },
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  margin: { l: 70, r: 20, t: 20, b: 55 },
  hovermode: "closest",
  dragmode: "select",
  uirevision: "kept",
  showlegend: false,
  modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.muted, activecolor: theme.ink },
  ...more,
});

const axisLook = (theme) => ({
  gridcolor: theme.grid, linecolor: theme.muted, tickcolor: theme.muted, ticks: "outside", zeroline: false, color: theme.ink,
});

bitnas.plainAxis = (theme, title) => ({ ...axisLook(theme), title: { text: bitnas.plain(title), standoff: 10 } });

// An axis with a column's title; from a factor of 20 on it is logarithmic.
bitnas.axis = (columns, name, theme) => {
  const axis = columns.axes.get(name), range = columns.range(name);
  const isLog = range !== null && range[0] > 0 && range[1] > 20 * range[0] && !axis.isShare;
  const look = { ...axisLook(theme), title: { text: bitnas.plain(columns.title(name)), standoff: 10 } };
  if (axis.isShare) look.tickformat = range && range[1] - range[0] < 0.06 ? ".1%" : ".0%";
  if (isLog) Object.assign(look, { type: "log", dtick: "D2" });
  return look;
};

// How points are coloured: by a scale for a number, by a palette for a category.
bitnas.colouring = (columns, name, states) => {
  if (columns.axes.has(name)) {
    const range = columns.range(name) || [0, 1];
    return { isScale: true, cmin: range[0], cmax: range[1], of: (place) => columns.values(name)[place] };
  }
  const categories = columns.categories(name);
  const colours = new Map(categories.map((each, i) => [each, bitnas.PALETTE[i % bitnas.PALETTE.length]]));
  if (name === "state") for (const each of categories) colours.set(each, states[each]);
  return { isScale: false, colours, of: (place) => colours.get(columns.category(name, place)) || "#8d8d8d" };
};

function cloud(columns, state, places, colouring, look) {
  const many = columns.size > bitnas.MANY, number = columns.values("number");
  const marker = { size: look.size, opacity: look.opacity, symbol: places.map((at) => bitnas.SYMBOLS[columns.frame.columns.state[at]]) };
  marker.color = look.colour || places.map(colouring.of);
  marker.line = { width: look.line || 0, color: look.edge };
  if (colouring.isScale && !look.colour) Object.assign(marker, { colorscale: bitnas.SCALE, cmin: colouring.cmin, cmax: colouring.cmax });
  if (colouring.isScale && look.showscale)
    Object.assign(marker, { showscale: true, colorbar: { title: { text: bitnas.plain(columns.title(state.colour)), side: "right" }, thickness: 12, outlinewidth: 0 } });
  return {
    type: many ? "scattergl" : "scatter", name: look.name, mode: look.text ? "markers+text" : "markers",
    x: places.map((at) => columns.values(state.x)[at]), customdata: places.map((at) => number[at]),
    text: look.text ? places.map((at) => String(number[at])) : undefined, textposition: "top center",
    hoverinfo: "none", marker, selected: { marker: { opacity: look.opacity } }, unselected: { marker: { opacity: look.opacity } },
  };
}

// One objective against another. Trials without a y lie below the plot, a row for each state.
bitnas.frontFigure = (columns, state, theme) => {
  const { x, y } = state, xs = columns.values(x), ys = columns.values(y);
  const colouring = bitnas.colouring(columns, state.colour, columns.frame.states);
  const drawn = [], strip = new Map();
  for (let at = 0; at < columns.size; at += 1) {
    if (xs[at] === null) continue;
    if (ys[at] !== null) drawn.push(at);
    else {
      const name = columns.frame.columns.state[at];
      if (!strip.has(name)) strip.set(name, []);
      strip.get(name).push(at);
    }
  }
  const isShown = (at) => state.shows(columns, at);
  const front = x === y ? [] : columns.front([x, y], state.isFiltering ? drawn.filter(isShown) : drawn);
  const onFront = new Set(front), faded = [], others = [];
  for (const at of drawn) if (!onFront.has(at)) (isShown(at) ? others : faded).push(at);
  const look = { opacity: 0.75, size: 8, edge: theme.paper };
  const traces = [
    { ...cloud(columns, state, faded, colouring, { ...look, name: "not shown", size: 6, opacity: 0.35, colour: theme.faded }), y: faded.map((at) => ys[at]) },
    { ...cloud(columns, state, others, colouring, { ...look, name: "dominated", line: 0.5 }), y: others.map((at) => ys[at]) },
    stairs(columns, state, front, theme),
    { ...cloud(columns, state, front, colouring, { ...look, name: "front", size: 13, opacity: 1, line: 2, edge: theme.ink, text: front.length <= 40, showscale: true }), y: front.map((at) => ys[at]) },
  ];
  const rows = bitnas.STATES.filter((name) => strip.has(name));
  for (const name of rows) {
    const there = strip.get(name), shown = there.filter(isShown), hidden = there.filter((at) => !isShown(at));
    for (const [places, colour] of [[hidden, theme.faded], [shown, columns.frame.states[name]]])
      traces.push({ ...cloud(columns, state, places, colouring, { ...look, name, size: 7, opacity: 0.8, colour }), y: places.map(() => name), yaxis: "y2" });
  }
  const top = 0.05 * rows.length;
  const layout = bitnas.layout(theme, {
    xaxis: { ...bitnas.axis(columns, x, theme), anchor: rows.length ? "y2" : "y" },
    yaxis: { ...bitnas.axis(columns, y, theme), domain: [rows.length ? top + 0.04 : 0, 1] },
    ...limitMarks(columns, state, theme),
  });
  if (rows.length)
    layout.yaxis2 = { domain: [0, top], anchor: "x", type: "category", categoryarray: rows, range: [-0.5, rows.length - 0.5], showgrid: false, fixedrange: true, color: theme.muted };
  if (state.zoom) {
    Object.assign(layout.xaxis, { range: state.zoom.slice(0, 2) });
    Object.assign(layout.yaxis, { range: state.zoom.slice(2) });
  }
  return { traces, layout, front };
};

// The best in y up to each x.
function stairs(columns, state, front, theme) {
  const order = [...front].sort((a, b) => columns.values(state.x)[a] - columns.values(state.x)[b]);
  return {
    type: "scatter", mode: "lines", name: "best so far", hoverinfo: "skip", line: { shape: columns.axes.get(state.x).isMaximized ? "vh" : "hv", color: theme.accent, width: 2 },
    x: order.map((at) => columns.values(state.x)[at]), y: order.map((at) => columns.values(state.y)[at]),
  };
}

// The limits of the two axes as dashed lines, and what each one is, in words.
function limitMarks(columns, state, theme) {
  const shapes = [], annotations = [];
  for (const [name, axis] of [[state.x, "x"], [state.y, "y"]]) {
    const own = state.limits.get(name), limit = own ?? columns.axes.get(name).limit;
    if (limit === null || limit === undefined) continue;
    const line = { color: theme.limit, dash: "dash", width: 1.5 }, isLog = bitnas.axis(columns, name, theme).type === "log";
    const told = `${own === undefined ? "limit of the search" : "limit"} ${columns.told(name, limit)}`;
    const text = { text: bitnas.plain(told), showarrow: false, font: { color: theme.limit, size: 12 } }, at = isLog ? Math.log10(limit) : limit;
    if (axis === "x") {
      shapes.push({ type: "line", xref: "x", yref: "paper", x0: limit, x1: limit, y0: 0, y1: 1, line });
      annotations.push({ ...text, xref: "x", yref: "paper", x: at, y: 0.5, textangle: -90, xanchor: "right", yanchor: "middle" });
    } else {
      shapes.push({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: limit, y1: limit, line });
      annotations.push({ ...text, xref: "paper", yref: "y", x: 1, y: at, xanchor: "right", yanchor: "bottom" });
    }
  }
  return { shapes, annotations };
}

// Three objectives in space.
bitnas.cubeFigure = (columns, state, theme) => {
  const names = [state.x, state.y, state.z], of = names.map((name) => columns.values(name));
  const places = [];
  for (let at = 0; at < columns.size; at += 1) if (of.every((column) => column[at] !== null)) places.push(at);
  const shown = places.filter((at) => state.shows(columns, at)), inView = new Set(shown);
  const front = new Set(columns.front([...new Set(names)], shown)), colouring = bitnas.colouring(columns, state.colour, columns.frame.states);
  const groups = [
    ["not shown", places.filter((at) => !inView.has(at)), { size: 2, opacity: 0.25, color: theme.faded }],
    ["dominated", shown.filter((at) => !front.has(at)), { size: 3, opacity: 0.6 }],
    ["front", [...front], { size: 6, opacity: 1, line: { width: 1, color: theme.ink } }],
  ];
  const traces = groups.map(([name, group, look]) => {
    const marker = { color: group.map(colouring.of), ...look };
    if (colouring.isScale && name !== "not shown") Object.assign(marker, { colorscale: bitnas.SCALE, cmin: colouring.cmin, cmax: colouring.cmax });
    if (colouring.isScale && name === "front")
      Object.assign(marker, { showscale: true, colorbar: { title: { text: bitnas.plain(columns.title(state.colour)), side: "right" }, thickness: 12, outlinewidth: 0 } });
    const [x, y, z] = of.map((column) => group.map((at) => column[at]));
    return { type: "scatter3d", mode: "markers", name, x, y, z, customdata: group.map((at) => columns.values("number")[at]), hoverinfo: "none", marker };
  });
  const scene = {};
  for (const [i, axis] of ["xaxis", "yaxis", "zaxis"].entries()) scene[axis] = bitnas.axis(columns, names[i], theme);
  return { traces, layout: bitnas.layout(theme, { scene, dragmode: "orbit", margin: { l: 0, r: 0, t: 0, b: 0 } }), front: [...front] };
};

// Choices and objectives side by side, a line a trial: of at most `MANY` trials, evenly taken from all, those that are
// shown first. What is not shown is faded, by the lowest end of the colours.
bitnas.parallelFigure = (columns, state, names, theme) => {
  const numeric = names.filter((name) => columns.axes.has(name)), all = { shown: [], hidden: [] };
  for (let at = 0; at < columns.size; at += 1)
    if (numeric.every((name) => columns.values(name)[at] !== null)) all[state.shows(columns, at) ? "shown" : "hidden"].push(at);
  const shown = evenly(all.shown, bitnas.MANY), hidden = evenly(all.hidden, bitnas.MANY - shown.length), places = [...hidden, ...shown];
  const dimensions = names.map((name) => {
    if (columns.axes.has(name)) {
      const axis = columns.axes.get(name);
      return { label: bitnas.plain(columns.title(name)), values: places.map((at) => columns.values(name)[at]), tickformat: axis.isShare ? ".0%" : "~r" };
    }
    const categories = columns.categories(name), place = new Map(categories.map((each, i) => [each, i]));
    return { label: bitnas.plain(name), values: places.map((at) => place.get(columns.category(name, at)) ?? -1), tickvals: categories.map((_, i) => i), ticktext: categories.map((each) => bitnas.plain(bitnas.short(each))) };
  });
  const colouring = bitnas.colouring(columns, columns.axes.has(state.colour) ? state.colour : state.y, columns.frame.states);
  const room = 0.05 * (colouring.cmax - colouring.cmin || 1), lowest = colouring.cmin - room, scale = room / (colouring.cmax - lowest);
  const colorscale = [[0, theme.faded], [scale / 2, theme.faded], [scale / 2, bitnas.SCALE[0][1]], ...bitnas.SCALE.map(([share, colour]) => [scale + share * (1 - scale), colour])];
  const line = { color: places.map((at, i) => (i < hidden.length ? lowest : colouring.of(at) ?? colouring.cmin)), colorscale, cmin: lowest, cmax: colouring.cmax };
  const trace = { type: "parcoords", dimensions, line, labelangle: -15, labelfont: { color: theme.ink }, tickfont: { color: theme.ink }, rangefont: { color: theme.muted } };
  trace.unselected = { line: { color: theme.faded, opacity: 0.15 } };
  return { traces: [trace], layout: bitnas.layout(theme, { margin: { l: 90, r: 90, t: 90, b: 20 } }), places, of: all.shown.length + all.hidden.length };
};

// At most so many of a list, evenly taken.
function evenly(list, most) {
  if (list.length <= most) return list;
  return Array.from({ length: Math.max(0, most) }, (_, i) => list[Math.floor((i * list.length) / most)]);
}
