// The linked views of a search: figures, limits and filters that all show the same trials, and what is best of them.
"use strict";

const PLOT_CONFIG = { displaylogo: false, showSendToCloud: false, responsive: true, modeBarButtonsToRemove: ["autoScale2d"], modeBarButtonsToAdd: ["select2d", "lasso2d"] };
const MOST_COLUMNS = 12;  // of the parallel coordinates at the beginning
const PAUSE_MS = 250;
const MOST_COMPARED = 8;  // trials beside one another, as nas/figures/compared.py has it

bitnas.Explorer = class {
  // root: the element to fill. source: frame() gives the columns, drawing(number) the parts of an architecture,
  // trialPath(number) the address of a trial, remember(query) keeps what is set; comparePath(numbers), where
  // there is such a page, the address that compares trials.
  constructor(root, frame, source) {
    this.root = root;
    this.source = source;
    this.columns = new bitnas.Columns(frame);
    this.state = new bitnas.ViewState(this.columns, source.query());
    this.listeners = [];
    this.closing = new AbortController();
    this.until = { signal: this.closing.signal };
    this.build();
    this.update();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.update(), this.until);
  }

  // Whatever listens beyond the element ends with it.
  close() {
    this.closing.abort();
    this.card.remove();
  }

  // Newer trials; what the reader has set stays.
  refresh(frame) {
    this.columns = new bitnas.Columns(frame);
    bitnas.drawMerits(this.merits, this.columns);
    this.fillChoices();
    this.update();
  }

  build() {
    this.root.replaceChildren();
    Object.assign(this, { filled: {}, showLimits: [] });
    this.merits = add(this.root, "div", { class: "bitnas-merits" });
    bitnas.drawMerits(this.merits, this.columns);
    this.bar = add(this.root, "div", { class: "bitnas-bar" });
    this.selects = {};
    for (const [key, label] of [["x", "Across"], ["y", "Up"], ["z", "Depth"], ["colour", "Colour"]]) {
      this.selects[key] = add(add(this.bar, "label", {}, label), "select", { "data-key": key });
      this.selects[key].addEventListener("change", (event) => {
        this.state[key] = event.target.value;
        this.state.zoom = null;
        this.update();
      });
    }
    this.filters = add(this.bar, "details", { class: "bitnas-filters" });
    add(this.filters, "summary", {}, "Filter");
    this.filterBody = add(this.filters, "div");
    add(this.bar, "button", { type: "button" }, "Show all").addEventListener("click", () => {
      this.state.clear();
      this.filled = {};
      this.fillChoices();
      this.update();
    });
    this.bar.addEventListener("keydown", (event) => event.key === "Escape" && this.filters.removeAttribute("open"));
    document.addEventListener("click", (event) => event.isTrusted && !this.filters.contains(event.target) && this.filters.removeAttribute("open"), this.until);
    this.compare = add(this.bar, "a", { class: "bitnas-link bitnas-compare", hidden: "" }, "Compare");
    this.count = add(this.bar, "output", { class: "bitnas-count", "aria-live": "polite" });

    this.section("front", "Front", "Each mark is a trial. Those with an edge are the front of what is shown: no other trial beats them in all axes together. Drag to select; a click opens a trial.");
    this.limits = add(this.section("best", "The best within limits", "Move a limit: what breaks it fades everywhere, and the best of what is left is named here.").body, "div", { class: "bitnas-limits" });
    this.best = add(this.bodies.best, "div", { class: "bitnas-best", "aria-live": "polite" });
    this.section("parallel", "All choices at once", "Each line is a trial, from what was chosen to what came of it. Drag along an axis to select.");
    this.axesPicker = add(this.bodies.parallel, "details", { class: "bitnas-filters" });
    this.thinned = add(this.bodies.parallel, "p", { class: "bitnas-about" });
    const plot = (name, more = "") => add(this.bodies[name], "div", { class: `bitnas-plot${more}`, id: `${name}-plot` });
    this.plots = { front: plot("front"), parallel: plot("parallel", " bitnas-wide") };
    this.card = add(document.body, "div", { class: "bitnas-card", hidden: "" });
    // What is out of sight is drawn when it comes into sight: WebGL of ten thousand lines takes a while.
    this.isInSight = false;
    new IntersectionObserver(([entry]) => {
      this.isInSight = entry.isIntersecting;
      if (this.isInSight && this.isStale) this.laterParallel(0);
    }, { rootMargin: "200px" }).observe(this.plots.parallel);
    this.further = bitnas.views.map((view) => new bitnas.FurtherView(this, view));
    addEventListener("beforeprint", () => {  // paper has no scrolling
      if (this.isStale) this.drawParallel(bitnas.theme());
      for (const view of this.further) if (view.isStale) view.draw();
    }, this.until);
    this.fillChoices();
  }

  section(name, title, about) {
    const section = add(this.root, "section", { class: "bitnas-view", id: `view-${name}`, "aria-labelledby": `title-${name}` });
    add(section, "h3", { id: `title-${name}` }, title);
    add(section, "p", { class: "bitnas-about" }, about);
    const body = add(section, "div");
    this.bodies = { ...this.bodies, [name]: body };
    return { section, body };
  }

  fillChoices() {
    const axes = [...this.columns.axes.keys()].map((name) => [name, this.columns.title(name)]);
    const colours = [["state", "State"], ...axes, ...[...this.columns.choices.keys()].map((name) => [name, name])];
    const options = { x: axes, y: axes, z: [["", "none"], ...axes], colour: colours };
    this.unlessSame("selects", options, () => {
      for (const [key, select] of Object.entries(this.selects)) {
        select.replaceChildren(...options[key].map(([value, text]) => new Option(text, value)));
        select.value = this.state[key];
      }
    });
    const categories = ["state", ...this.columns.choices.keys()].map((name) => [name, this.columns.categories(name)]);
    this.unlessSame("filters", categories, () => this.fillFilters());
    this.unlessSame("limits", this.limitedColumns(), () => this.fillLimits());
    for (const show of this.showLimits) show();
    this.unlessSame("axes", axes, () => this.fillAxesPicker());
    for (const view of this.further) view.fillOptions();
  }

  // What the reader works with is made anew only where it would be another: it keeps the focus, and what is half typed.
  unlessSame(name, of, fill) {
    const text = JSON.stringify(of);
    if (this.filled[name] === text) return;
    this.filled[name] = text;
    fill();
  }

  // The columns that have more than one value, so that a limit says something.
  limitedColumns() {
    return [...this.columns.axes.keys()].filter((name) => {
      const range = this.columns.range(name);
      return range !== null && range[0] !== range[1];
    });
  }

  // A group of boxes for the states and for each choice, all ticked while nothing is left out.
  fillFilters() {
    this.filterBody.replaceChildren();
    for (const name of ["state", ...this.columns.choices.keys()]) {
      const categories = this.columns.categories(name);
      if (categories.length < 2) continue;
      const group = add(this.filterBody, "fieldset");
      add(group, "legend", {}, name);
      for (const category of categories) {
        const label = add(group, "label"), box = add(label, "input", { type: "checkbox" });
        label.append(category);
        box.checked = !this.state.only.has(name) || this.state.only.get(name).has(category);
        box.addEventListener("change", () => {
          const kept = this.state.only.get(name) || new Set(categories);
          if (box.checked) kept.add(category);
          else kept.delete(category);
          if (kept.size === categories.length) this.state.only.delete(name);
          else this.state.only.set(name, kept);
          this.update();
        });
      }
    }
  }

  // A slider and a number for each column; over a factor of 20 the slider moves by factors.
  fillLimits() {
    this.limits.replaceChildren();
    this.showLimits = [];
    for (const name of this.limitedColumns()) {
      const axis = this.columns.axes.get(name), ends = () => this.columns.range(name), isLog = () => ends()[0] > 0 && ends()[1] > 20 * ends()[0];
      const toShare = (value, [low, high] = ends()) => (isLog() ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
      const toValue = (share, [low, high] = ends()) => (isLog() ? low * (high / low) ** share : low + share * (high - low));
      const loosest = axis.isMaximized ? 0 : 1, row = add(this.limits, "div", { class: "bitnas-limit" });
      const label = `${axis.title} ${axis.isMaximized ? "at least" : "at most"}`;
      add(row, "span", {}, label);
      const slider = add(row, "input", { type: "range", min: 0, max: 1, step: 0.001, "aria-label": label, "data-limit": name });
      const number = add(row, "input", { type: "number", step: "any", "aria-label": `${label}, as a number`, "data-limit": name });
      const scale = axis.isShare ? 100 : 1, show = (value) => (number.value = value === null ? "" : Number((scale * value).toPrecision(4)));
      add(row, "span", { class: "bitnas-unit" }, axis.isShare ? "%" : axis.unit);
      const place = (value) => (slider.value = value === null ? loosest : Math.min(1, Math.max(0, toShare(value))));
      show(this.state.limits.get(name) ?? null);
      this.showLimits.push(() => document.activeElement !== slider && place(this.state.limits.get(name) ?? null));
      const set = (value) => {
        if (value === null) this.state.limits.delete(name);
        else this.state.limits.set(name, value);
        this.update();
      };
      slider.addEventListener("input", () => {
        const share = Number(slider.value), value = share === loosest ? null : toValue(share);
        show(value);
        slider.setAttribute("aria-valuetext", value === null ? "no limit" : this.columns.told(name, value));
        set(value);
      });
      number.addEventListener("change", () => {
        const value = number.value === "" ? null : Number(number.value) / scale;
        place(value);
        set(value);
      });
    }
  }

  // The columns of the parallel coordinates: the reader's, or some choices and all that a training tells.
  get parallel() {
    return this.state.parallel ?? this.firstParallel();
  }

  firstParallel() {
    const choices = [...this.columns.choices.keys()].filter((name) => this.columns.categories(name).length > 1);
    const first = choices.filter((name) => /most frequent|block$|width$/.test(name));
    const axes = [...this.columns.axes.keys()].filter((name) => name !== "measured_latency");  // which few trials have
    const most = MOST_COLUMNS - axes.length;
    return [...[...first, ...choices.filter((name) => !first.includes(name))].slice(0, Math.max(2, most)), ...axes];
  }

  fillAxesPicker() {
    this.axesPicker.replaceChildren();
    add(this.axesPicker, "summary", {}, "Columns");
    const group = add(this.axesPicker, "fieldset");
    for (const name of [...this.columns.choices.keys(), ...this.columns.axes.keys()]) {
      const label = add(group, "label"), box = add(label, "input", { type: "checkbox" });
      label.append(this.columns.axes.has(name) ? this.columns.title(name) : name);
      box.checked = this.parallel.includes(name);
      box.addEventListener("change", () => {
        this.state.parallel = box.checked ? [...this.parallel, name] : this.parallel.filter((each) => each !== name);
        this.update();
      });
    }
  }

  // Everything anew, once a frame of the screen.
  update(except) {
    this.skips = except;
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.draw();
    });
  }

  draw() {
    const { columns, state } = this, theme = bitnas.theme();
    const places = [...columns.frame.columns.number.keys()];
    this.shown = places.filter((at) => state.shows(columns, at));
    this.remember();
    const all = columns.size.toLocaleString("en"), some = this.shown.length.toLocaleString("en");
    const thin = columns.size > bitnas.MANY ? ", drawn with WebGL" : "";
    this.count.textContent = (state.isFiltering ? `${some} of ${all} trials` : `${all} trials`) + thin;
    this.offerComparison();
    this.drawFront(theme);
    this.drawBest();
    if (this.skips !== "parallel") this.laterParallel(PAUSE_MS);
    this.skips = null;
    performance.mark("bitnas.drawn");  // benchmarks/dashboard.py waits for it
    for (const view of this.further) view.later(PAUSE_MS);
    const numbers = state.isFiltering ? new Set(this.shown.map((at) => columns.values("number")[at])) : null;
    for (const listener of this.listeners) listener(numbers);
  }

  // A page that puts those that are shown side by side, where the source has one and they are few enough.
  offerComparison() {
    const { state, columns, shown } = this, can = this.source.comparePath && state.isFiltering;
    this.compare.hidden = !can || shown.length < 2 || shown.length > MOST_COMPARED;
    if (this.compare.hidden) return;
    this.compare.href = this.source.comparePath(shown.map((at) => columns.values("number")[at]));
    this.compare.textContent = `Compare these ${shown.length}`;
  }

  // Keep what is set in the address, a moment later: browsers take few changes of it a second.
  remember() {
    clearTimeout(this.remembering);
    this.remembering = setTimeout(() => this.source.remember(this.state.query(this.columns)), PAUSE_MS);
  }

  drawFront(theme) {
    const { state, columns } = this, isCube = Boolean(state.z);
    if (!state.x) return this.say(this.plots.front, "No trial has a value to draw yet.");
    const figure = isCube ? bitnas.cubeFigure(columns, state, theme) : bitnas.frontFigure(columns, state, theme);
    if (figure.traces.every((trace) => trace.x.length === 0)) return this.say(this.plots.front, `No trial has a ${columns.title(state.x)} yet.`);
    this.front = figure.front;
    const plot = this.plots.front, isNew = !plot.classList.contains("js-plotly-plot") || plot.isCube !== isCube;
    if (isNew && plot.isCube !== undefined) Plotly.purge(plot);
    plot.isCube = isCube;
    figure.layout.uirevision = `kept ${state.resets}`;
    Plotly.react(plot, figure.traces, figure.layout, PLOT_CONFIG);
    if (isNew) this.listenToFront(plot);
  }

  // A click opens a trial, and the pointer over one shows its card, in every figure whose marks are trials.
  listenToTrials(plot) {
    const numberOf = (event) => event.points[0].customdata;
    plot.on("plotly_click", (event) => numberOf(event) != null && this.source.open(numberOf(event)));
    plot.on("plotly_hover", (event) => this.showCard(numberOf(event), event.event));
    plot.on("plotly_unhover", () => (this.card.hidden = true));
  }

  listenToFront(plot) {
    this.listenToTrials(plot);
    plot.on("plotly_selected", (event) => {
      if (!event || !event.points) return;
      this.select(event.points.map((point) => point.customdata).filter((number) => number !== undefined));
    });
    plot.on("plotly_deselect", () => this.select(null));
    plot.on("plotly_relayout", (event) => {
      if (Object.keys(event).some((key) => key.endsWith("autorange"))) this.state.zoom = null;
      else if (event["xaxis.range[0]"] !== undefined || event["yaxis.range[0]"] !== undefined)
        this.state.zoom = [...plot._fullLayout.xaxis.range, ...plot._fullLayout.yaxis.range].map(Number);
      else return;
      this.source.remember(this.state.query(this.columns));
    });
  }

  // Trials by number, or null for all.
  select(numbers, from) {
    this.state.selected = numbers === null || numbers.length === 0 ? null : new Set(numbers);
    this.update(from);
  }

  // Once nothing has changed for a moment, so that a slider moves without waiting for it.
  laterParallel(pause) {
    this.isStale = true;
    clearTimeout(this.parallelTimer);
    if (this.isInSight) this.parallelTimer = setTimeout(() => this.drawParallel(bitnas.theme()), pause);
  }

  drawParallel(theme) {
    const plot = this.plots.parallel;
    this.isStale = false;
    if (this.parallel.length < 2 || !this.state.y) return this.say(plot, "Choose two columns or more.");
    const figure = bitnas.parallelFigure(this.columns, this.state, this.parallel, theme);
    if (figure.places.length === 0) return this.say(plot, "No trial that is shown has all of these values.");
    const isNew = !plot.classList.contains("js-plotly-plot");
    const count = (number) => number.toLocaleString("en"), { size } = this.columns;
    const lacking = figure.of < size ? `${count(size - figure.of)} of ${count(size)} trials lack one of these values. ` : "";
    this.thinned.textContent = lacking + (figure.places.length < figure.of ? `Drawn for ${count(figure.places.length)} of ${count(figure.of)} trials, evenly taken.` : "");
    figure.layout.uirevision = `kept ${this.state.resets}`;
    Plotly.react(plot, figure.traces, figure.layout, PLOT_CONFIG);
    if (isNew) plot.on("plotly_restyle", () => this.brushed(plot));
  }

  // The trials within the ranges that are brushed on the axes.
  brushed(plot) {
    const { columns, parallel } = this, { dimensions } = plot.data[0], number = columns.values("number");
    const ranges = dimensions.map(({ constraintrange: range }) => (range ? (Array.isArray(range[0]) ? range : [range]) : null));
    if (ranges.every((range) => range === null)) return this.select(null, "parallel");
    const within = (value, range) => range === null || range.some(([low, high]) => value >= low && value <= high);
    const value = (name, at) => (columns.axes.has(name) ? columns.values(name)[at] : columns.categories(name).indexOf(columns.category(name, at)));
    const kept = [...number.keys()].filter((at) => parallel.every((name, d) => value(name, at) !== null && within(value(name, at), ranges[d])));
    this.select(kept.map((at) => number[at]), "parallel");
  }

  drawBest() {
    const { columns, state } = this, [of] = columns.frame.objectives;
    this.best.replaceChildren();
    if (!of) return;
    const at = columns.best(this.shown), line = add(this.best, "p");
    if (at === null) {
      line.append("No complete trial is within these limits.");
      return;
    }
    const number = columns.values("number")[at], told = [...columns.axes.keys()].filter((name) => columns.values(name)[at] !== null);
    line.append(`The best ${columns.axes.get(of).title.toLowerCase()}: `);
    add(line, "a", { href: this.source.trialPath(number), class: "bitnas-link" }, `trial ${number}`);
    line.append(`, ${told.map((name) => `${columns.axes.get(name).title.toLowerCase()} ${columns.told(name, columns.values(name)[at])}`).join(", ")}. To have it as code, type:`);
    bitnas.addCommand(this.best, columns.frame.export.replace("NUMBER", number));
    this.drawInto(this.best, number);
  }

  async drawInto(element, number) {
    const parts = await this.source.drawing(number);
    if (parts && parts.length && element.isConnected) element.append(bitnas.drawArchitecture(parts));
  }

  showCard(number, event) {
    if (number == null) return;
    const { columns } = this, at = columns.placeOf.get(number), card = this.card;
    card.replaceChildren();
    add(card, "strong", {}, `Trial ${number}, ${columns.frame.columns.state[at]}`);
    if (columns.values("note")[at]) add(card, "div", { class: "bitnas-note" }, columns.values("note")[at]);
    const list = add(card, "dl");
    for (const [name, axis] of columns.axes) {
      if (columns.values(name)[at] === null) continue;
      add(list, "dt", {}, axis.title);
      add(list, "dd", {}, columns.told(name, columns.values(name)[at]));
    }
    if (columns.values("digest")[at]) add(card, "div", { class: "bitnas-unit" }, `Digest ${columns.values("digest")[at]}`);
    card.hidden = false;
    const width = 340, x = event.clientX + 16 + width > innerWidth ? event.clientX - width - 16 : event.clientX + 16;
    Object.assign(card.style, { left: `${x + scrollX}px`, top: `${event.clientY + 12 + scrollY}px` });
    this.drawInto(card, number);
  }

  say(plot, text) {
    if (plot.classList.contains("js-plotly-plot")) Plotly.purge(plot);
    plot.className = plot.className.replace("js-plotly-plot", "");
    plot.replaceChildren();
    add(plot, "p", { class: "bitnas-empty" }, text);
  }
};

// One of `bitnas.views` in a section of its own, drawn while it is in sight.
bitnas.FurtherView = class {
  constructor(explorer, view) {
    Object.assign(this, { explorer, view, selects: {}, isInSight: false });
    const { body } = explorer.section(view.name, view.title, view.about);
    this.bar = add(body, "div", { class: "bitnas-options" });
    this.note = add(body, "p", { class: "bitnas-about" });
    this.plot = add(body, "div", { class: "bitnas-plot bitnas-wide", id: `${view.name}-plot` });
    new IntersectionObserver(([entry]) => {
      this.isInSight = entry.isIntersecting;
      if (this.isInSight && this.isStale) this.later(0);
    }, { rootMargin: "200px" }).observe(this.plot);
  }

  fillOptions() {
    for (const [key, options] of Object.entries(this.view.options(this.explorer.columns))) {
      if (!this.selects[key]) {
        this.selects[key] = add(this.bar, "select", { "aria-label": `${this.view.title}: ${key}` });
        this.selects[key].addEventListener("change", (event) => {
          this.explorer.state.chosen.set(`${this.view.name}.${key}`, event.target.value);
          this.explorer.remember();
          this.later(0);
        });
      }
      this.explorer.unlessSame(`${this.view.name}.${key}`, options, () => {
        const select = this.selects[key], kept = this.explorer.state.chosen.get(`${this.view.name}.${key}`) ?? select.value;
        select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
        if (options.some(([value]) => value === kept)) select.value = kept;
      });
    }
  }

  later(pause) {
    this.isStale = true;
    clearTimeout(this.timer);
    if (this.isInSight) this.timer = setTimeout(() => this.draw(), pause);
  }

  async draw() {
    this.isStale = false;
    const { explorer, view, plot } = this, chosen = Object.fromEntries(Object.entries(this.selects).map(([key, select]) => [key, select.value]));
    let figure;
    try {
      const extra = view.extra === null ? null : await explorer.source.extra(view.extra);
      figure = view.figure(explorer.columns, explorer.state, bitnas.theme(), chosen, extra);
    } catch (error) {
      figure = { why: `This view failed: ${error.message}` };  // the others stay
    }
    this.note.textContent = figure.note || "";
    if (figure.why) return explorer.say(plot, figure.why);
    const isNew = !plot.classList.contains("js-plotly-plot");
    if (isNew) plot.replaceChildren();
    Plotly.react(plot, figure.traces, figure.layout, PLOT_CONFIG);
    if (!isNew) return;
    explorer.listenToTrials(plot);
    this.followInTwin ??= bitnas.twin(plot.parentElement, plot, view.name);
    this.followInTwin();
  }
};

function add(parent, name, attributes = {}, text) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}
bitnas.add = add;

// A command for a shell, with a button that takes it to the clipboard.
bitnas.addCommand = (parent, command) => {
  const row = add(parent, "div", { class: "bitnas-command" });
  add(row, "code", {}, command);
  const copy = add(row, "button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = "Copied";
  });
};
