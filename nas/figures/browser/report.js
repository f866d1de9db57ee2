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
      if (parts.length) bitnas.showArchitecture(bitnas.add(dialog, "div"), parts);
      bitnas.add(dialog, "button", { type: "button" }, "Close").addEventListener("click", () => dialog.close());
      dialog.showModal();
    }
  } catch (error) {
    root.textContent = `This report cannot be shown: ${error.message}`;
    throw error;
  }
})();
