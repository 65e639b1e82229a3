"use strict";
// The report's data, and what all parts share: text of numbers, elements, tooltips, marks that the keyboard reaches.

const report = JSON.parse(document.getElementById("kvt-data").textContent);
const study = report.study;
const kPairNames = ["KV8", "K8V4", "K8V2", "K4V8", "KV4", "K4V2", "K2V8", "K2V4", "KV2"];
const kWidth = 1000;  // of every chart, in its own units

// --- Numbers ---
const fixed = (x, digits) => (x === null || x === undefined ? "-" : x.toFixed(digits));
// The same for nats: what `digits` would show with one figure or none is written as 2.0e-8.
function nats(x, digits) {
  if (x === null || x === undefined) return "-";
  return x !== 0 && Math.abs(x) < 9.5 * Math.pow(10, -digits) ? x.toExponential(1) : x.toFixed(digits);
}
const signed = (x, digits) => (x === null || x === undefined || x < 0 ? "" : "+") + fixed(x, digits);
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, " ");
const mib = (bytes) => {
  const x = bytes / 1048576;
  return x >= 10240 ? (x / 1024).toFixed(1) + " GiB" : x.toFixed(x < 10 ? 2 : 1) + " MiB";
};
// Digits after the point that show the smallest of `values` with two figures: 4 to 6.
function digits_for(values) {
  const smallest = Math.min(...values.filter((x) => x > 0));
  return Number.isFinite(smallest) ? Math.min(6, Math.max(4, Math.ceil(-Math.log10(smallest)) + 1)) : 4;
}
const bits_text = (bits) => (bits === 16 ? "f16" : String(bits));
// "[K4V5, ...]" as a line of characters for one side: "45554", f for 16.
const strip_text = (pairs, side) => pairs.map((p) => (p[side] === 16 ? "f" : p[side])).join("");
// "K8V4" or "KV4" -> [8, 4]
function bits_of(name) {
  const both = /^KV(\d+)$/.exec(name), each = /^K(\d+)V(\d+)$/.exec(name);
  return both ? [+both[1], +both[1]] : each ? [+each[1], +each[2]] : [0, 0];
}
const interval_text = (low, high, digits) => (low === null ? "-" : nats(low, digits) + " to " + nats(high, digits));

// --- Elements ---
// element("p", {class: "x"}, "text", child, ...): text never becomes markup.
function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) if (value !== null) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function section(id, title, ...children) {
  const heading = element("h2", {id: id + "-title"}, title);
  document.getElementById("main").append(element("section", {id, "aria-labelledby": id + "-title"}, heading, ...children));
  document.getElementById("contents").append(element("li", {}, element("a", {href: "#" + id}, title)));
}

function chart(height, label) {
  return d3.create("svg").attr("class", "chart").attr("viewBox", `0 0 ${kWidth} ${height}`).attr("role", "group")
    .attr("aria-label", label);
}

// Shapes by name, around 0, 0.
const kShapes = {
  dot: "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
  disc: "M-5.5,0a5.5,5.5 0 1,0 11,0a5.5,5.5 0 1,0 -11,0",
  diamond: "M0,-6.5L6.5,0L0,6.5L-6.5,0Z",
  triangle: "M0,-6.5L6.5,5L-6.5,5Z",
  star: "M0,-10L2.6,-3.6L9.5,-3.1L4.2,1.4L5.9,8.1L0,4.4L-5.9,8.1L-4.2,1.4L-9.5,-3.1L-2.6,-3.6Z",
};

// One entry of a chart's key: [kind, shape, text].
function key_of(entries) {
  const list = element("ul", {class: "key"});
  for (const [kind, shape, text] of entries) {
    const svg = d3.create("svg").attr("width", 22).attr("height", 20).attr("viewBox", "-11 -10 22 20").attr("aria-hidden", "true");
    const mark = svg.append("g").attr("class", "kind-" + kind);
    if (shape === "line") mark.append("line").attr("class", "line-" + kind).attr("x1", -11).attr("x2", 11);
    else if (shape === "error") mark.append("path").attr("class", "bar-error").attr("d", "M0,-8V8M-3,-8H3M-3,8H3");
    else mark.append("path").attr("class", "shape").attr("d", kShapes[shape]);
    list.append(element("li", {}, svg.node(), text));
  }
  return list;
}

// A key of shades: values and their opacity.
function shade_key(steps, note) {
  const list = element("ul", {class: "key"});
  for (const [text, opacity] of steps) {
    const svg = d3.create("svg").attr("width", 20).attr("height", 14).attr("aria-hidden", "true");
    svg.append("rect").attr("class", "cell-back").attr("width", 20).attr("height", 14);
    svg.append("rect").attr("class", "cell-heat").attr("width", 20).attr("height", 14).attr("fill-opacity", opacity);
    list.append(element("li", {}, svg.node(), text));
  }
  for (const text of note || []) list.append(element("li", {}, text));
  return list;
}

// --- Tooltips and the keyboard ---
const tooltip = document.getElementById("tooltip");

function show_tooltip(lines, x, y) {
  tooltip.replaceChildren(...lines.map((line) => element("p", {}, line)));
  tooltip.hidden = false;
  const box = tooltip.getBoundingClientRect();
  const left = x + 14 + box.width > window.innerWidth ? x - 14 - box.width : x + 14;
  const top = y + 14 + box.height > window.innerHeight ? y - 14 - box.height : y + 14;
  tooltip.style.left = Math.max(4, left) + "px";
  tooltip.style.top = Math.max(4, top) + "px";
}
const hide_tooltip = () => { tooltip.hidden = true; };
window.addEventListener("keydown", (event) => { if (event.key === "Escape") hide_tooltip(); });
window.addEventListener("scroll", hide_tooltip, {passive: true});

// Gives every mark (a <g> element) its text as tooltip and name, and the chart one tab stop: arrow keys, Home and End move
// between marks.   columns  marks in a row of a grid, for up and down; 0: no grid
function make_reachable(marks, columns) {
  marks.forEach(({node, lines}, i) => {
    node.classList.add("mark");
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", lines.join("; "));
    node.setAttribute("tabindex", i === 0 ? "0" : "-1");
    node.addEventListener("pointermove", (event) => show_tooltip(lines, event.clientX, event.clientY));
    node.addEventListener("pointerleave", hide_tooltip);
    node.addEventListener("focus", () => {
      const box = node.getBoundingClientRect();
      show_tooltip(lines, box.left + box.width / 2, box.top + box.height / 2);
    });
    node.addEventListener("blur", hide_tooltip);
    node.addEventListener("keydown", (event) => {
      const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns || 1, ArrowUp: -(columns || 1)};
      let to = i;
      if (event.key in steps) to = i + steps[event.key];
      else if (event.key === "Home") to = 0;
      else if (event.key === "End") to = marks.length - 1;
      else return;
      event.preventDefault();
      if (to < 0 || to >= marks.length) return;
      node.setAttribute("tabindex", "-1");
      marks[to].node.setAttribute("tabindex", "0");
      marks[to].node.focus();
    });
  });
}
