// How the list of searches draws its cells, and that a click on a point of a figure opens its trial.
"use strict";
(() => {
  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  const make = (...told) => window.React.createElement(...told);

  const link = (text, href) =>
    make("a", {
      href,
      onClick: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        bitnas.goTo(href);
      },
    }, text);
  const small = (text, title) => make("div", { className: "cell-small", title: title || text }, text);
  const cell = (...parts) => make("div", { className: "cell" }, ...parts);

  cells.SearchName = ({ data }) => cell(make("div", null, link(data.search, data.href)), small(data.about));
  cells.SearchState = ({ data }) => cell(make("div", null, data.state), data.why ? small(data.why) : null);
  cells.SearchBest = ({ data }) =>
    data.best === null ? cell("—") : cell(make("div", null, data.best_told), make("div", { className: "cell-small" }, link(`trial ${data.trial}`, data.trial_href)));
  cells.SearchWorkers = ({ data }) =>
    cell(make("div", { title: data.names || null }, String(data.workers)), data.where ? small(data.where, data.names) : null);
  cells.SearchLeft = ({ data }) => cell(data.left_told);

  cells.SearchProgress = ({ data }) =>
    cell(
      make("div", null, data.progress),
      make("div", { className: "cell-bar", "aria-hidden": "true" }, make("span", { style: { width: `${(100 * data.finished) / (data.total || 1)}%`, background: "var(--bitnas-accent)" } }))
    );

  // The counts are told in words below: nobody needs the colours.
  cells.SearchCounts = ({ data, colours }) => {
    const there = Object.entries(data.counts).filter(([, count]) => count), told = there.map(([state, count]) => `${count.toLocaleString("en")} ${state}`).join(", ");
    const parts = there.map(([state, count]) => make("span", { key: state, style: { width: `${(100 * count) / data.total}%`, background: colours[state] } }));
    return cell(make("div", { className: "cell-bar", "aria-hidden": "true" }, ...parts), small(told));
  };

  // By keyboard, a cell that has the focus is left for what its link leads to.
  document.addEventListener("keydown", (event) => {
    const linked = event.key === "Enter" && event.target.matches("#searches .ag-cell") && event.target.querySelector("a");
    if (linked) linked.click();
  });

  // A point of a figure that Dash has drawn opens what its address names.
  const listen = () => {
    for (const plot of document.querySelectorAll(".opens-trials .js-plotly-plot"))
      if (plot.on && !plot.opensTrials) {
        plot.opensTrials = true;
        plot.on("plotly_click", ({ points: [point] }) => typeof point.customdata === "string" && point.customdata.startsWith("/search/") && bitnas.goTo(point.customdata));
      }
  };
  new MutationObserver(listen).observe(document.documentElement, { childList: true, subtree: true });
})();
