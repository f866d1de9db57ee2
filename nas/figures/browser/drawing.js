// An architecture drawn in small: a box a part from image to classes, its width as height, its precision as colour.
"use strict";

bitnas.PRECISION_COLOURS = { float: "#868e96", int8: "#3b7dd8", ternary: "#0f9d8a", binary: "#b14fc5", dithered: "#e8890c" };

bitnas.precisionColour = (precision) => bitnas.PRECISION_COLOURS[precision.split("-")[0]] || "#868e96";

// parts: [{kind, width, stride, side, precisions: [[layer, precision], ...]}], the height of the drawing in pixels.
bitnas.drawArchitecture = (parts, height = 64) => {
  const svg = bitnas.svgElement("svg", { class: "bitnas-drawing", role: "img", height });
  const widest = Math.max(...parts.map((part) => part.width || 1)), gap = 4, box = 22;
  let x = 0;
  for (const part of parts) {
    const tall = Math.max(12, (height - 14) * Math.sqrt((part.width || 1) / widest)), layers = part.precisions.length || 1;
    part.precisions.forEach(([, precision], i) => {
      svg.append(bitnas.svgElement("rect", { x: x + (i * box) / layers, y: (height - 14 - tall) / 2, width: box / layers, height: tall, fill: bitnas.precisionColour(precision) }));
    });
    if (part.stride > 1) svg.append(bitnas.svgElement("line", { x1: x - gap / 2, x2: x - gap / 2, y1: 0, y2: height - 14, class: "bitnas-stride" }));
    const label = bitnas.svgElement("text", { x: x + box / 2, y: height - 3, "text-anchor": "middle" });
    label.textContent = part.short;
    svg.append(label);
    x += box + gap;
  }
  svg.setAttribute("width", x);
  svg.setAttribute("aria-label", parts.map((part) => `${part.kind} ${part.width}: ${part.precisions.map(([, p]) => p).join(", ")}`).join("; "));
  return svg;
};

bitnas.svgElement = (name, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
