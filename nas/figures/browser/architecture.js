// An architecture drawn large: a box a part from image to classes, cut into its layers, with what each is below it.
"use strict";

bitnas.PRECISION_LETTERS = { float: "f", int8: "8", ternary: "t", binary: "b", dithered: "d" };

bitnas.precisionLetter = (precision) => bitnas.PRECISION_LETTERS[precision.split("-")[0]] || precision[0];

// parts: as `drawArchitecture` takes them. A box is as tall as the root of its width; its layers lie side by side,
// each in the colour and with the letter of its precision.
bitnas.drawLarge = (parts) => {
  const tallest = 130, layer = 34, gap = 66, top = 24, middle = top + tallest / 2, height = top + tallest + 64;
  const widest = Math.max(...parts.map((part) => part.width || 1));
  const tall = (width) => Math.max(26, tallest * Math.sqrt((width || 1) / widest));
  const svg = bitnas.svgElement("svg", { class: "bitnas-architecture", role: "img", height });
  const text = (x, y, told, look = "") => {
    const element = bitnas.svgElement("text", { x, y, "text-anchor": "middle", class: look });
    element.textContent = told;
    svg.append(element);
  };
  const line = (from, to, y1, y2, look) => svg.append(bitnas.svgElement("line", { x1: from, x2: to, y1, y2, class: look }));
  let x = 52;
  text(24, middle + 4, "image", "bitnas-end");
  parts.forEach((part, at) => {
    line(x, x + gap - 8, middle, middle, "bitnas-arrow");
    svg.append(bitnas.svgElement("path", { d: `M${x + gap - 8} ${middle - 4}l7 4l-7 4z`, class: "bitnas-head" }));
    if (part.enters) text(x + gap / 2 - 4, middle - 8, `${part.enters}×${part.enters}`);
    if (part.stride > 1) {
      line(x + gap - 3, x + gap - 3, top - 6, top + tallest + 6, "bitnas-stride");
      text(x + gap - 3, top - 10, `stride ${part.stride}`);
    }
    x += gap;
    x = box(part, at, x);
  });
  line(x, x + 30, middle, middle, "bitnas-arrow");
  text(x + 62, middle + 4, "classes", "bitnas-end");
  svg.setAttribute("width", x + 92);
  svg.setAttribute("viewBox", `0 0 ${x + 92} ${height}`);
  svg.setAttribute("aria-label", parts.map((part, at) => `${bitnas.partName(parts, at)}: ${bitnas.toldPart(part)}`).join("; "));
  return svg;

  function box(part, at, left) {
    const layers = part.precisions.length ? part.precisions : [["", ""]], high = tall(part.width), y = middle - high / 2;
    const group = bitnas.svgElement("g", {}), title = bitnas.svgElement("title", {});
    title.textContent = `${bitnas.partName(parts, at)}: ${bitnas.toldPart(part)}`;
    group.append(title);
    layers.forEach(([, precision], i) => {
      group.append(bitnas.svgElement("rect", { x: left + i * layer, y, width: layer, height: high, fill: bitnas.precisionColour(precision) }));
      const letter = bitnas.svgElement("text", { x: left + (i + 0.5) * layer, y: middle + 5, "text-anchor": "middle", class: "bitnas-letter" });
      letter.textContent = precision ? bitnas.precisionLetter(precision) : "";
      group.append(letter);
    });
    svg.append(group);
    const centre = left + (layers.length * layer) / 2, below = top + tallest + 16;
    const groups = part.groups > 1 ? `, ${part.groups} groups` : "";
    text(centre, below, parts.length === 1 ? part.kind : part.short, "bitnas-kind");
    text(centre, below + 16, part.kernel ? `${part.kernel}×${part.kernel}${groups}` : "");
    if (parts.length > 1) text(centre, below + 32, at === parts.length - 1 ? `${part.width} classes` : `${part.width} wide`);
    return left + layers.length * layer;
  }
};

// A published network is one part.
bitnas.partName = (parts, at) => (parts.length === 1 ? "network" : at === 0 ? "stem" : at === parts.length - 1 ? "head" : `block ${at}`);

// All that is known of a part, in a line.
bitnas.toldPart = (part) => {
  const told = [part.kind];
  if (part.width > 1) told.push(`${part.width} wide`);
  if (part.kernel) told.push(`kernel ${part.kernel}×${part.kernel}`);
  if (part.stride > 1) told.push(`stride ${part.stride}`);
  if (part.groups > 1) told.push(`${part.groups} groups`);
  return [...told, ...part.precisions.map(([layer, precision]) => `${layer} ${precision}`)].join(", ");
};

// The drawing, which scrolls where it is wider than its room, and its legend.
bitnas.showArchitecture = (room, parts) => {
  const scrolls = bitnas.add(room, "div", { class: "bitnas-scroll", tabindex: "0", "aria-label": "The architecture, from image to classes" });
  scrolls.append(bitnas.drawLarge(parts));
  room.append(bitnas.precisionLegend(parts));
};

// What the letters and the colours stand for, of those precisions that occur.
bitnas.precisionLegend = (parts) => {
  const list = document.createElement("ul");
  list.className = "bitnas-legend";
  for (const precision of new Set(parts.flatMap((part) => part.precisions.map(([, each]) => each)))) {
    const item = bitnas.add(list, "li"), mark = bitnas.add(item, "span", { class: "bitnas-mark" }, bitnas.precisionLetter(precision));
    mark.style.background = bitnas.precisionColour(precision);
    item.append(precision);
  }
  return list;
};
