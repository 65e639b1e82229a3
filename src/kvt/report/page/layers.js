// What the plan gives each layer and how much each layer minds: grids with one column a layer, all on the same scale.

// Model layers of the plan's columns.
function plan_layers() {
  return report.formats ? report.formats.map((f) => f.layer) : report.chosen_pairs.map((_, i) => i);
}

// --- The plan ---
const kBitsShade = {2: 0.08, 3: 0.22, 4: 0.36, 5: 0.5, 6: 0.66, 8: 0.84, 16: 1};

function plan_section() {
  const pairs = report.chosen_pairs, layers = plan_layers();
  if (pairs.length === 0) return;
  const side = (name, s) => ({label: name + " bits", cells: pairs.map((pair, i) => ({
    opacity: kBitsShade[pair[s]], text: pair[s] === 16 ? "f" : String(pair[s]),
    lines: [`Layer ${layers[i]}, ${name}`, bits_text(pair[s]) + " bits"]
      .concat(report.formats ? ["format " + report.formats[i][s === 0 ? "k" : "v"]] : [])}))});
  const used = [...new Set(pairs.flat())].sort((a, b) => a - b);
  const format = (i, key) => (report.formats ? report.formats[i][key] : "-");
  const rows = pairs.map((pair, i) => ({layer: layers[i], pair, k: format(i, "k"), v: format(i, "v")}));
  section("plan", "Plan by layer",
    element("figure", {}, cell_grid(layers, "layer", [side("K", 0), side("V", 1)], "Bits of keys and values by layer."),
      shade_key(used.map((bits) => [bits === 16 ? "f16" : bits + " bits", kBitsShade[bits]]))),
    folded("The same as a table", table_of([
      {title: "layer", header: true, value: (r) => r.layer, text: (r) => String(r.layer)},
      {title: "K bits", value: (r) => r.pair[0], text: (r) => String(r.pair[0])},
      {title: "V bits", value: (r) => r.pair[1], text: (r) => String(r.pair[1])},
      {title: "K format", left: true, value: (r) => r.k, text: (r) => r.k},
      {title: "V format", left: true, value: (r) => r.v, text: (r) => r.v}], rows, {caption: "Bits and formats by layer", sortable: true})));
}

// --- Sensitivity ---
function increments_section() {
  const found = study.increments;
  if (!found) return;
  const layers = found.k.map((_, i) => i), top = Math.max(...found.k, ...found.v);
  const digits = digits_for([...found.k, ...found.v].map(Math.abs)), bits = `${found.probe_bits} bits`;
  const shade = top > 0 ? d3.scaleSqrt().domain([0, top]).range([0, 1]).clamp(true) : () => 0;
  const planned = plan_layers();
  const given = (layer, s) => {
    const i = planned.indexOf(layer);
    return i < 0 ? [] : [`the plan gives it ${bits_text(report.chosen_pairs[i][s])} bits`];
  };
  const side = (name, values, s) => ({label: name + " alone", cells: values.map((x, layer) => ({
    opacity: shade(x), lines: [`Layer ${layer}, ${name}`, `${searched_loss.short} ${signed(x, digits)} when it alone has ${bits}`].concat(given(layer, s))}))});
  const steps = [0, 0.1, 0.25, 0.5, 1].map((part) => [part === 0 ? "0" : (part * top).toPrecision(2), shade(part * top)]);
  section("sensitivity", "Layer sensitivity",
    element("p", {class: "muted"}, `${searched_loss.long}, that one side of one layer adds when it alone has ${bits}, all others 8.` +
      (found.noise > 0 ? ` Standard error of one figure: ${nats(found.noise, digits)}.` : "")),
    element("figure", {}, cell_grid(layers, "layer", [side("K", found.k, 0), side("V", found.v, 1)], "What each layer adds."),
      shade_key(steps, ["square-root scale; 0 and less: blank"])),
    folded("The same as a table", table_of([
      {title: "layer", header: true, value: (l) => l, text: (l) => String(l)},
      {title: "K alone", value: (l) => found.k[l], text: (l) => signed(found.k[l], digits)},
      {title: "V alone", value: (l) => found.v[l], text: (l) => signed(found.v[l], digits)}],
      layers, {caption: `${searched_loss.short} added by one side at ${bits}`, sortable: true})));
}

// The paper's: error of the attention output by layer and pair, what pruning left, and the groups.
function pairs_section() {
  const table = report.sensitivity, groups = study.groups;
  if (!table) return;
  const layers = table.layers.map((l) => l.layer);
  const positive = table.layers.flatMap((l) => l.e_o).filter((x) => x > 0);
  const shade = positive.length === 0 ? () => 0 :
    d3.scaleLog().domain([Math.min(...positive), Math.max(...positive) * 1.0001]).range([0.02, 1]).clamp(true);
  const digits = digits_for(positive);
  const group_of = (layer) => groups.findIndex((g) => g.layers.includes(layer));
  const kept = (layer, pair) => {
    const found = report.candidates ? report.candidates.layers.find((l) => l.layer === layer) : null;
    return found ? found.pairs.includes(pair) : false;
  };
  const planned = plan_layers();
  const chosen = (layer) => {
    const i = planned.indexOf(layer);
    return i < 0 ? [0, 0] : report.chosen_pairs[i];
  };
  const rows = [];
  if (groups.length > 0) {
    rows.push({label: "group", cells: layers.map((layer) => {
      const g = group_of(layer);
      return {opacity: 0, text: g < 0 ? "" : String(g), group: g % 2 === 1,
              lines: g < 0 ? [`Layer ${layer}`, "in no group"] : [`Layer ${layer}, group ${g}`, "layers " + groups[g].layers.join(", "),
                                                                    "candidates " + groups[g].pairs.join(", ")]};
    })});
  }
  kPairNames.forEach((pair, p) => rows.push({label: pair, cells: table.layers.map((l) => {
    const picked = String(chosen(l.layer)) === String(bits_of(pair)), candidate = kept(l.layer, pair);
    return {opacity: l.e_o[p] > 0 ? shade(l.e_o[p]) : 0, picked, candidate,
            lines: [`Layer ${l.layer}, ${pair}`, "e_o " + nats(l.e_o[p], digits)].concat(
              candidate ? ["kept by pruning"] : report.candidates ? ["pruned"] : [], picked ? ["in the plan"] : [])};
  })}));
  const low = Math.min(...positive), high = Math.max(...positive);
  const steps = positive.length === 0 ? [] : [0, 0.25, 0.5, 0.75, 1].map((t) => low * Math.pow(high / low, t)).map((x) => [x.toPrecision(2), shade(x)]);
  const group_rows = groups.map((g, i) => ({i, g}));
  section("sensitivity", "Layer sensitivity",
    element("p", {class: "muted"}, `Relative error of the attention output (e_o) when one layer stores a pair; ${table.n_prompts} prompts, ` +
      `${grouped(table.n_tokens)} decode steps.`),
    element("figure", {}, cell_grid(layers, "layer", rows, "Error of the attention output by layer and pair."),
      shade_key(steps, ["log scale"].concat(report.candidates ? ["dot: kept by pruning"] : [], ["frame: in the plan"]))),
    folded("The same as a table", table_of([{title: "layer", header: true, value: (l) => l.layer, text: (l) => String(l.layer)}].concat(
      kPairNames.map((pair, p) => ({title: pair, value: (l) => l.e_o[p], text: (l) => nats(l.e_o[p], digits)}))),
      table.layers, {caption: "e_o by layer and pair", sortable: true})),
    groups.length === 0 ? null : folded("Groups", table_of([
      {title: "group", header: true, text: (r) => String(r.i)},
      {title: "layers", left: true, text: (r) => r.g.layers.join(", ")},
      {title: "candidate pairs (mean e_o)", left: true, text: (r) => r.g.pairs.map((p, i) => `${p} (${nats(r.g.e_o[i], digits)})`).join(", ")}],
      group_rows, {caption: "Layers that behave alike share one pair"})));
}
