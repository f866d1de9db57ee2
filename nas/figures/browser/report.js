// A report: unpacks what the file holds, and puts the linked views, the table and trials into its page.
"use strict";
(async () => {
  const unpacked = async (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const root = document.getElementById("explorer");
  try {
    const library = document.createElement("script");
    library.textContent = await unpacked("plotly");
    document.head.append(library);
    const data = JSON.parse(await unpacked("data")), { parts: allParts, of } = data.drawings;
    const source = {
      query: () => location.hash.slice(1),
      remember: (query) => history.replaceState(null, "", `#${query}`),
      trialPath: (number) => `#trial=${number}`,
      open: (number) => openTrial(number),
      drawing: async (number) => (of[number] || []).map((place) => allParts[place]),
      extra: async (name) => data[name],
    };
    const explorer = new bitnas.Explorer(root, data.frame, source);
    explorer.listeners.push(bitnas.trialsTable(document.getElementById("trials"), explorer.columns, source));
    root.addEventListener("click", (event) => {
      const link = event.target.closest('a[href^="#trial="]');
      if (!link) return;
      event.preventDefault();
      openTrial(Number(link.hash.slice(7)));
    });
    const dialog = bitnas.add(document.body, "dialog", { class: "bitnas-dialog" });

    // A trial in a window of its own: its figures, its choices, its architecture.
    function openTrial(number) {
      const { columns } = explorer, at = columns.placeOf.get(number);
      if (at === undefined) return;
      dialog.replaceChildren();
      bitnas.add(dialog, "h3", {}, `Trial ${number}, ${columns.frame.columns.state[at]}`);
      const list = bitnas.add(dialog, "dl");
      const rows = [...columns.axes.keys()].map((name) => [columns.axes.get(name).title, columns.told(name, columns.values(name)[at])]);
      for (const choice of columns.choices.keys()) if (columns.choices.get(choice).taken[at] >= 0) rows.push([choice, columns.category(choice, at)]);
      for (const [name, value] of rows) {
        bitnas.add(list, "dt", {}, name);
        bitnas.add(list, "dd", {}, value);
      }
      const parts = (of[number] || []).map((place) => allParts[place]);
      if (parts.length) bitnas.add(dialog, "h4", {}, "Architecture");
      if (parts.length) bitnas.showArchitecture(bitnas.add(dialog, "div"), parts);
      drawTraining(number);
      if (columns.isComplete(at)) bitnas.addCommand(dialog, columns.frame.export.replace("NUMBER", number));
      const close = bitnas.add(dialog, "form", { method: "dialog" });
      bitnas.add(close, "button", {}, "Close");
      dialog.showModal();
      if (!inAddress()) history.pushState(null, "", `#${[source.query(), `trial=${number}`].filter(Boolean).join("&")}`);
    }

    function drawTraining(number) {
      const curve = data.curves.curves[number];
      if (!curve) return;
      bitnas.add(dialog, "h4", {}, "Training");
      const plot = bitnas.add(dialog, "div", { class: "bitnas-curve" }), theme = bitnas.theme(), [x, y] = [0, 1].map((of) => curve.map((point) => point[of]));
      const axes = { xaxis: bitnas.plainAxis(theme, "Epoch"), yaxis: { ...bitnas.plainAxis(theme, "Accuracy"), tickformat: ".0%" } };
      const layout = bitnas.layout(theme, { ...axes, margin: { l: 60, r: 10, t: 10, b: 45 } });
      requestAnimationFrame(() => Plotly.newPlot(plot, [{ x, y, mode: "lines+markers", line: { color: theme.accent } }], layout, { displaylogo: false, showSendToCloud: false, responsive: true }));
    }

    // The address tells which trial is open, and a step back closes it.
    const inAddress = () => new URLSearchParams(location.hash.slice(1)).get("trial");
    const follow = () => (inAddress() ? openTrial(Number(inAddress())) : dialog.close());
    dialog.addEventListener("close", () => inAddress() && history.back());
    addEventListener("popstate", follow);
    if (inAddress()) follow();
  } catch (error) {
    root.textContent = `This report cannot be shown: ${error.message}`;
    throw error;
  }
})();
