// Puts the linked views into the page where Dash has left room for them, and keeps them up to date.
"use strict";
(() => {
  const LIVE_MS = 3000, IDLE_MS = 30000, TABLE_PAUSE_MS = 200;
  let current = null;  // { root, explorer, timer }

  const fetchJson = async (address) => read(await fetch(address, { cache: "no-cache" }));

  const read = async (response) => {
    const told = await response.json();
    if (!response.ok) throw new Error(told.error || `the server answered ${response.status}`);
    return { told, tag: response.headers.get("ETag") };
  };

  const frameOf = (search) => `/data/search/${encodeURIComponent(search)}/frame.json`;

  // What early.js has asked for already, once.
  const ask = async (address) => {
    const early = window.bitnasEarly;
    window.bitnasEarly = null;
    return early && early.address === address ? read(await early.answer) : fetchJson(address);
  };

  function sourceOf(search) {
    const base = `/search/${encodeURIComponent(search)}`, drawings = new Map(), extras = { tag: undefined, kept: new Map() };
    return {
      query: () => location.search.slice(1),
      remember: (query) => {
        if (location.pathname !== base) return;
        const address = query ? `${base}?${query}` : base;
        if (location.pathname + location.search !== address) history.replaceState(history.state, "", address);
      },
      trialPath: (number) => `${base}/trial/${number}`,
      comparePath: (numbers) => `${base}/compare?trials=${numbers.join(",")}`,
      open: (number) => bitnas.goTo(`${base}/trial/${number}`),
      extra: async (name) => {
        if (extras.tag !== current.tag) Object.assign(extras, { tag: current.tag, kept: new Map() });
        if (!extras.kept.has(name)) extras.kept.set(name, (await fetchJson(`/data${base}/${name}.json`)).told);
        return extras.kept.get(name);
      },
      drawing: async (number) => {
        if (!drawings.has(number)) {
          const { told } = await fetchJson(`/data${base}/trial/${number}/drawing.json`);
          drawings.set(number, told);
        }
        return drawings.get(number);
      },
    };
  }

  // As if a link of Dash had been followed: the page changes, the application stays.
  bitnas.goTo = (path) => {
    history.pushState({}, "", path);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  };

  async function mount(root) {
    const search = root.dataset.search, source = sourceOf(search), mine = { root, explorer: null, tag: null };
    current = mine;
    const tick = async () => {
      if (current !== mine) return;
      try {
        const { told, tag } = await ask(frameOf(search));
        if (current !== mine) return;
        if (mine.explorer === null) {
          root.replaceChildren();
          mine.explorer = new bitnas.Explorer(root, told, source);
          mine.explorer.listeners.push(showInTable);
          requestAnimationFrame(() => setTimeout(() => fillTable(mine.explorer.columns, source)));  // the front first
        } else if (tag !== mine.tag) {
          mine.explorer.refresh(told);
          fillTable(mine.explorer.columns, source);
        }
        mine.tag = tag;
        old(root, null);
      } catch (error) {
        old(root, error.message);
      }
      mine.timer = setTimeout(tick, root.dataset.live === "yes" ? LIVE_MS : IDLE_MS);
    };
    await tick();
  }

  // Say that what is shown may be old, and why.
  function old(root, reason) {
    let line = root.querySelector(".bitnas-old");
    if (reason === null) return line && line.remove();
    if (!line) {
      line = document.createElement("p");
      line.className = "bitnas-old";
      line.setAttribute("role", "alert");
      root.prepend(line);
    }
    line.textContent = `What you see may be old: ${reason}`;
  }

  const table = async () => {
    try {
      return await dash_ag_grid.getApiAsync("trials");
    } catch {
      return null;  // the page has no table
    }
  };

  let shown = null, listening = null, filtering;

  async function fillTable(columns, source) {
    const api = await table();
    if (!api) return;
    api.setGridOption("columnDefs", bitnas.columnDefs(columns));
    api.setGridOption("isExternalFilterPresent", () => shown !== null);
    api.setGridOption("doesExternalFilterPass", (node) => shown.has(node.data.number));
    if (listening !== api) {
      listening = api;
      api.addEventListener("cellKeyDown", ({ event, data }) => event.key === "Enter" && source.open(data.number));
      api.addEventListener("cellClicked", (event) => event.colDef.field !== "link" && source.open(event.data.number));
    }
    api.setGridOption("rowData", bitnas.gridRows(columns, source));
    api.sizeColumnsToFit();
  }

  // A moment after the last change, so that a slider moves without waiting for the table.
  function showInTable(numbers) {
    shown = numbers;
    clearTimeout(filtering);
    filtering = setTimeout(async () => {
      const api = await table();
      if (api) api.onFilterChanged();
    }, TABLE_PAUSE_MS);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("#trials-csv, #trials-json");
    if (!button) return;
    const api = await table();
    if (!api) return;
    const kept = [];
    api.forEachNodeAfterFilterAndSort((node) => kept.push(node.data.at));
    const rows = bitnas.rowsOf(current.explorer.columns, kept);
    const isJson = button.id === "trials-json", name = `${current.root.dataset.search}.${isJson ? "json" : "csv"}`;
    bitnas.download(name, isJson ? bitnas.jsonOf(rows) : bitnas.csvOf(rows), isJson ? "application/json" : "text/csv");
  });

  // Architectures whose parts the server has told, large or small.
  const drawArchitectures = () => {
    for (const room of document.querySelectorAll("[data-parts]")) {
      if (room.drawn === room.dataset.parts) continue;
      room.drawn = room.dataset.parts;
      const parts = JSON.parse(room.drawn);
      room.replaceChildren();
      if (room.dataset.size === "large") bitnas.showArchitecture(room, parts);
      else room.append(bitnas.drawArchitecture(parts));
    }
  };

  const look = () => {
    drawArchitectures();
    const root = document.querySelector(".bitnas-explorer[data-search]");
    if (current && current.root !== root) {
      clearTimeout(current.timer);
      if (current.explorer) current.explorer.close();
      current = null;
    }
    if (root && current === null) mount(root);
  };
  // Figures that the server has drawn, and the tables, follow the reader's choice of light or dark as well.
  const follow = () => {
    if (document.body) document.body.dataset.agThemeMode = bitnas.isDark() ? "dark" : "light";
    const theme = bitnas.theme();
    for (const plot of document.querySelectorAll(".dash-graph .js-plotly-plot"))
      if (plot._fullLayout && plot._fullLayout.font.color !== theme.ink) Plotly.relayout(plot, bitnas.themeOf(plot, theme));
  };
  const name = () => {
    const titled = document.querySelector("[data-title]");
    const title = titled ? `${titled.dataset.title} - bitnas` : "bitnas";
    if (document.title !== title) document.title = title;
  };
  const addTwins = () => {
    for (const room of document.querySelectorAll(".bitnas-twin:empty")) {
      const graph = room.parentElement.querySelector(".dash-graph"), plot = graph && graph.querySelector(".js-plotly-plot");
      if (plot && plot._fullLayout) bitnas.twin(room, plot, graph.id, room.dataset.table && JSON.parse(room.dataset.table))();
    }
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
  new MutationObserver(name).observe(document.documentElement, { childList: true, subtree: true });
  new MutationObserver(addTwins).observe(document.documentElement, { childList: true, subtree: true });
  new MutationObserver(follow).observe(document.documentElement, { childList: true, subtree: true });
  new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true });
})();
