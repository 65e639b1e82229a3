// KLD on a log axis against bits: where every scored plan stands, and which of them nothing beats.

// What the search minimized besides bits; held-out text is always measured by KLD.
const on_text = study.objective === "kld";
const searched_loss = on_text ? {short: "KLD", long: "KL divergence, nats"}
  : {short: "loss", long: `${study.objective} lost against f16` + (study.objective.endsWith(" loglik") ? ", nats a token" : ", share of the items")};
const text_loss = {short: "KLD", long: "KL divergence, nats"};

const strips = (pairs) => (pairs.length === 0 ? [] : ["K " + strip_text(pairs, 0), "V " + strip_text(pairs, 1)]);

// The plans as points: {name, payload_bits, effective_bits, kld, low, high, kind, front, pairs}
function search_points() {
  return study.evaluations.map((e, i) => {
    const front = study.front.includes(i), chosen = i === report.chosen;
    const kind = chosen ? "chosen" : e.label ? (front ? "uniform-front" : "uniform") : front ? "front" : "mixed";
    return {name: e.label || "mixed " + i, label: e.label, payload_bits: e.payload_bits, effective_bits: e.effective_bits, kld: e.kld,
            low: e.kld_ci_low, high: e.kld_ci_high, front, chosen, kind, pairs: e.pairs.map(bits_of)};
  }).filter((p) => p.label !== "KV16");
}

function held_out_points() {
  return report.held_out.plans.map((p, i) => {
    const kind = i === 0 ? "chosen" : p.label.includes(":") ? "rival" : "uniform";
    return {name: p.label, label: i === 0 ? "" : p.label, payload_bits: p.payload_bits, effective_bits: p.effective_bits, kld: p.kld,
            low: p.kld_ci_low, high: p.kld_ci_high, front: false, chosen: i === 0, kind, pairs: p.pairs.map(bits_of)};
  });
}

const kKindShape = {mixed: "dot", front: "disc", uniform: "diamond", "uniform-front": "diamond", rival: "triangle", chosen: "star"};

// Ticks of a log axis at 1, 2 and 5 of every decade, or at the powers of ten where that would be many.
function log_ticks([low, high]) {
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); ++e)
    for (const m of [1, 2, 5]) ticks.push(Number(m + "e" + e));
  const inside = ticks.filter((x) => x >= low && x <= high);
  return inside.length > 12 ? inside.filter((x) => /^1|^0\.0*1$/.test(String(x)) || /^1e/.test(String(x))) : inside;
}

// Puts each label where it covers no mark, no line and no other label: right, left, above, below, farther out; else to the right.
function place_labels(points, front, at, bounds) {
  const taken = points.map((p) => ({x0: at(p)[0] - 6, x1: at(p)[0] + 6, y0: at(p)[1] - 6, y1: at(p)[1] + 6}));
  for (let i = 1; i < front.length; ++i) {  // the front's line, as a row of small boxes
    const [ax, ay] = at(front[i - 1]), [bx, by] = at(front[i]), steps = Math.ceil(Math.hypot(bx - ax, by - ay) / 6);
    for (let s = 0; s <= steps; ++s) {
      const lx = ax + (bx - ax) * s / steps, ly = ay + (by - ay) * s / steps;
      taken.push({x0: lx - 1, x1: lx + 1, y0: ly - 1, y1: ly + 1});
    }
  }
  const clash = (a) => taken.some((b) => a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1) ||
    a.x0 < bounds.x0 || a.x1 > bounds.x1 || a.y0 < bounds.y0 || a.y1 > bounds.y1;
  return points.filter((p) => p.label || p.chosen).map((p) => {
    const text = p.chosen ? (p.label ? p.label + ", chosen" : "chosen") : p.label, width = text.length * 7 + 2, [x, y] = at(p);
    const tries = [[10, 4], [-10 - width, 4], [-width / 2, -11], [-width / 2, 20], [9, -9], [9, 17], [-9 - width, -9],
                   [-9 - width, 17], [-width / 2, -25], [-width / 2, 34], [18, -16], [-18 - width, 22]];
    const box = ([dx, dy]) => ({x0: x + dx, x1: x + dx + width, y0: y + dy - 11, y1: y + dy + 3});
    const offset = tries.find((t) => !clash(box(t))) || tries[0];
    taken.push(box(offset));
    return {text, x: x + offset[0], y: y + offset[1], chosen: p.chosen};
  });
}

function frontier_chart(points, floor, bits_key, loss) {
  const height = 480, left = 74, right = kWidth - 20, top = 14, bottom = height - 50;
  const title = bits_key === "effective_bits" ? "effective bits per element" : "payload bits per element";
  const svg = chart(height, `Frontier: ${loss.long} against ${title}, ${points.length} plans. Arrow keys move between the plans; ` +
    "the table below has the same figures.");
  const plans = points.flatMap((p) => [p.kld, p.low, p.high]).filter((x) => x > 0);
  const floor_shown = floor > Math.min(...plans) / 10;  // one far below would push the plans together
  const positive = floor_shown ? plans.concat([floor]) : plans;
  if (points.length === 0 || positive.length === 0) return svg.node();
  const bits = points.map((p) => p[bits_key]);
  const room = Math.max(0.25, (Math.max(...bits) - Math.min(...bits)) * 0.05);
  const x = d3.scaleLinear().domain([Math.min(...bits) - room, Math.max(...bits) + room]).range([left, right]);
  const y = d3.scaleLog().domain([Math.min(...positive) / 1.25, Math.max(...positive) * 1.25]).range([bottom, top]);
  const at = (p) => [x(p[bits_key]), p.kld > 0 ? y(p.kld) : bottom];  // no logarithm: on the axis
  const ticks = log_ticks(y.domain());

  svg.selectAll(null).data(ticks).enter().append("line").attr("class", "grid").attr("x1", left).attr("x2", right)
    .attr("y1", (t) => y(t)).attr("y2", (t) => y(t));
  svg.append("g").attr("class", "axis").attr("aria-hidden", "true").attr("transform", `translate(0,${bottom})`)
    .call(d3.axisBottom(x).ticks(10)).append("text").attr("class", "soft").attr("x", (left + right) / 2).attr("y", 40)
    .attr("text-anchor", "middle").text(title);
  svg.append("g").attr("class", "axis").attr("aria-hidden", "true").attr("transform", `translate(${left},0)`)
    .call(d3.axisLeft(y).tickValues(ticks).tickFormat((t) => (t < 0.001 ? t.toExponential(0) : String(t)))).append("text").attr("class", "soft")
    .attr("transform", `translate(-62,${(top + bottom) / 2}) rotate(-90)`).attr("text-anchor", "middle")
    .text(loss.long + " (log scale)");
  svg.selectAll(".axis > text").style("fill", "var(--muted)");

  if (floor_shown)
    svg.append("line").attr("class", "line-floor").attr("x1", left).attr("x2", right).attr("y1", y(floor)).attr("y2", y(floor));
  if (floor > 0) {
    svg.append("text").attr("class", "soft").attr("x", left + 6).attr("y", (floor_shown ? y(floor) : bottom) - 5)
      .text("noise floor " + nats(floor, 4) + (floor_shown ? "" : ", below this plot"));
  }
  const front = points.filter((p) => p.front).sort((a, b) => a[bits_key] - b[bits_key] || b.kld - a.kld);
  if (front.length > 1) svg.append("path").attr("class", "line-front").attr("d", "M" + front.map((p) => at(p).join(",")).join("L"));

  const order = ["mixed", "rival", "uniform", "front", "uniform-front", "chosen"];
  const drawn = points.slice().sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const digits = digits_for(points.map((p) => p.kld));
  const marks = drawn.map((p) => {
    const [px, py] = at(p);
    const g = svg.append("g").attr("class", "kind-" + p.kind);
    if (p.low > 0)
      g.append("path").attr("class", "bar-error").attr("d", `M${px},${y(p.low)}V${y(p.high)}M${px - 4},${y(p.low)}h8M${px - 4},${y(p.high)}h8`);
    g.append("path").attr("class", "shape").attr("transform", `translate(${px},${py})`).attr("d", kShapes[kKindShape[p.kind]]);
    g.append("circle").attr("class", "hit").attr("cx", px).attr("cy", py).attr("r", 9);
    const lines = [p.name + (p.chosen ? ", chosen" : "") + (p.front ? ", on the front" : ""),
                   `${fixed(p.effective_bits, 3)} effective bits, ${fixed(p.payload_bits, 3)} payload bits`,
                   loss.short + " " + nats(p.kld, digits) + (p.low === null ? "" : `, 95 % ${interval_text(p.low, p.high, digits)}`)];
    return {node: g.node(), lines: lines.concat(p.pairs.length <= 48 ? strips(p.pairs) : []), sort: [px, py]};
  });
  const chosen_first = points.slice().sort((a, b) => b.chosen - a.chosen || a.kld - b.kld);
  for (const label of place_labels(chosen_first, front, at, {x0: left + 2, x1: right + 8, y0: top - 4, y1: bottom - 2})) {
    svg.append("text").attr("x", label.x).attr("y", label.y).attr("aria-hidden", "true").attr("class", "halo")
      .style("font-weight", label.chosen ? 700 : 400).style("fill", label.chosen ? "var(--chosen)" : null).text(label.text);
  }
  marks.sort((a, b) => a.sort[0] - b.sort[0] || a.sort[1] - b.sort[1]);
  make_reachable(marks, 0);
  return svg.node();
}

function frontier_table(points, caption, loss) {
  const digits = digits_for(points.map((p) => p.kld));
  return table_of([
    {title: "plan", left: true, header: true, value: (p) => p.name, text: (p) => p.name},
    {title: "payload bits", value: (p) => p.payload_bits, text: (p) => fixed(p.payload_bits, 3)},
    {title: "effective bits", value: (p) => p.effective_bits, text: (p) => fixed(p.effective_bits, 3)},
    {title: loss.short, value: (p) => p.kld, text: (p) => nats(p.kld, digits)},
    {title: "95 % interval", text: (p) => interval_text(p.low, p.high, digits)},
    {title: "", left: true, text: (p) => (p.chosen ? "chosen" : p.front ? "front" : "")},
    {title: "K bits by layer", left: true, node: (p) => element("span", {class: "mono"}, strip_text(p.pairs, 0))},
    {title: "V bits by layer", left: true, node: (p) => element("span", {class: "mono"}, strip_text(p.pairs, 1))},
  ], points, {caption, sortable: true, row_class: (p) => (p.chosen ? "chosen" : null)});
}

// Two radio buttons and more: what is chosen goes to `changed`.
function radios(name, title, choices, changed) {
  const set = element("fieldset", {}, element("legend", {}, title));
  choices.forEach(([value, text], i) => {
    const input = element("input", {type: "radio", name, value});
    input.checked = i === 0;
    input.addEventListener("change", () => changed(value));
    set.append(element("label", {}, input, text));
  });
  return set;
}

function frontier_section() {
  const state = {bits: "effective_bits", text: "search"};
  const holder = element("div", {class: "scroll"}), key = element("div", {}), caption = element("figcaption", {"aria-live": "polite"});
  const behind = element("div", {});
  const draw = () => {
    const searched = state.text === "search", points = searched ? search_points() : held_out_points();
    const source = searched ? study : report.held_out, loss = searched ? searched_loss : text_loss;
    holder.replaceChildren(frontier_chart(points, source.floor, state.bits, loss));
    const has = (kind) => points.some((p) => p.kind.startsWith(kind));
    key.replaceChildren(key_of([
      ["chosen", "star", "chosen plan"], searched ? ["front", "disc", "on the front"] : null, ["uniform", "diamond", "same pair in every layer"],
      has("mixed") ? ["mixed", "dot", "other mixed plan"] : null, has("rival") ? ["rival", "triangle", "another quantizer"] : null,
      points.some((p) => p.low !== null) ? ["error", "error", "95 % interval"] : null, source.floor > 0 ? ["floor", "line", "noise floor"] : null].filter(Boolean)));
    const where = searched && !on_text ? `${source.n_chunks} items (${study.objective})`
      : `${source.n_chunks} chunks of ${source.chunk_tokens} tokens of the ${searched ? "search" : "held-out"} text`;
    caption.textContent = `${points.length} plans on ${where}` + (searched && points.every((p) => p.low === null) ?
      "; fewer than 8 chunks give no intervals." : ".") + (searched ? ` The front is drawn by effective bits at ${study.at_tokens} tokens.` : "");
    behind.replaceChildren(folded("The same as a table", frontier_table(points, caption.textContent, loss)));
  };
  const controls = element("div", {class: "controls screen-only"},
    radios("bits", "Bits:", [["effective_bits", "effective (all stored bytes)"], ["payload_bits", "payload (codes only)"]],
           (value) => { state.bits = value; draw(); }));
  if (report.held_out) {
    controls.append(radios("text", "Text:", [["search", "search"], ["held_out", "held-out"]],
                           (value) => { state.text = value; draw(); }));
  }
  draw();
  section("frontier", "Frontier", controls, element("figure", {}, holder, key, caption), behind);
}
