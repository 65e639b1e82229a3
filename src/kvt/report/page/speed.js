// Speed and error by tokens in the cache: what kvtuner bench and kvtuner eval kld measured, if their records lie beside the others.

const kSpeedKinds = [["generation", "generation"], ["prefill", "prefill"]];

function speed_chart(bench, kind) {
  const depths = [...new Set(bench.rows.map((r) => r.depth))].sort((a, b) => a - b);
  const text = (s) => `${kind} ${fixed(s.median, 1)} tokens/s (${fixed(s.min, 1)} to ${fixed(s.max, 1)})`;
  const series = [...new Set(bench.rows.map((r) => r.plan))].map((plan) => ({name: plan,
    points: bench.rows.filter((r) => r.plan === plan).sort((a, b) => a.depth - b.depth).map((r) => ({
      x: r.depth, value: r[kind].median, low: r[kind].min, high: r[kind].max,
      lines: [`${grouped(r.depth)} tokens in the cache`, text(r[kind]), `${fixed(r[kind].ratio_to_f16, 2)} times stock f16`]}))}));
  return series_chart({
    label: `Speed of ${kind} by tokens in the cache, ${series.length} caches.`, series, floor: 0, apart: 5,
    // Evenly spaced: 0 has no logarithm, and depths are chosen by hand.
    x: (range) => d3.scalePoint().domain(depths).range(range).padding(depths.length === 1 ? 0.5 : 0), x_title: "tokens in the cache", x_format: grouped,
    y: (range) => d3.scaleLinear().domain([0, Math.max(...bench.rows.map((r) => r[kind].max)) * 1.05]).range(range),
    y_ticks: (y) => y.ticks(6), y_format: grouped, y_title: `${kind}, tokens/s`});
}

function speed_section() {
  const bench = report.bench;
  if (!bench) return;
  const holder = element("div", {class: "scroll"}), key = element("div", {});
  const draw = (kind) => {
    const drawn = speed_chart(bench, kind);
    holder.replaceChildren(drawn.node);
    key.replaceChildren(key_of(drawn.keys.concat([["error", "error", "slowest and fastest repetition"]])));
  };
  draw("generation");
  const columns = [{title: "tokens in the cache", header: true, value: (r) => r.depth, text: (r) => grouped(r.depth)},
                   {title: "cache", left: true, value: (r) => r.plan, text: (r) => r.plan},
                   {title: "size", value: (r) => r.kv_bytes, text: (r) => mib(r.kv_bytes)}];
  for (const [title, kind] of kSpeedKinds) {
    columns.push({title, value: (r) => r[kind].median, text: (r) => fixed(r[kind].median, 1)},
                 {title: "min", value: (r) => r[kind].min, text: (r) => fixed(r[kind].min, 1)},
                 {title: "max", value: (r) => r[kind].max, text: (r) => fixed(r[kind].max, 1)},
                 {title: "to f16", value: (r) => r[kind].ratio_to_f16, text: (r) => fixed(r[kind].ratio_to_f16, 2)});
  }
  const table = table_of(columns, bench.rows, {sortable: true,
    caption: `Tokens per second, median of ${bench.repetitions} interleaved repetitions; prefill of ${bench.prefill_tokens} tokens, ` +
      `generation of ${bench.generate_tokens}; ${bench.threads === 0 ? "all" : bench.threads} threads, ${bench.processor}`});
  table.id = "speed-table";
  section("speed", "Speed by context length",
    element("div", {class: "controls screen-only"}, radios("speed", "Speed of:", kSpeedKinds, draw)),
    element("figure", {}, holder, key), table,
    element("p", {class: "muted"}, "Ratios are the median of the ratios within a repetition; only they mean something on another machine."));
}

// --- Error by position ---
function position_chart(length, text) {
  const series = length.plans.map((plan) => ({name: plan.name, points: plan.bins.filter((b) => b.kld > 0).map((b) => ({
    x: (b.first + b.last) / 2, value: b.kld, low: null, high: null,
    lines: [`positions ${b.first} to ${b.last}`, `KLD ${nats(b.kld, 5)}`, `same top ${fixed(100 * b.same_top, 1)} %`]}))}));
  const errors = series.flatMap((s) => s.points.map((p) => p.value));
  if (errors.length === 0) return null;
  const floor = length.floor > Math.min(...errors) / 10 ? length.floor : 0;  // one far below would flatten the lines
  const values = floor > 0 ? errors.concat([floor]) : errors;
  const last = Math.max(...length.plans.flatMap((p) => p.bins.map((b) => b.last)));
  const first = Math.min(...length.plans.flatMap((p) => p.bins.map((b) => b.first)));
  return series_chart({
    label: `KL divergence by position in chunks of ${length.n_ctx} tokens, ${series.length} caches, ${text}.`, series, floor, apart: 0,
    x: (range) => d3.scaleLinear().domain([first, last]).range(range), x_title: "position in the chunk", x_format: grouped,
    y: (range) => d3.scaleLog().domain([Math.min(...values) / 1.25, Math.max(...values) * 1.25]).range(range),
    y_ticks: (y) => log_ticks(y.domain()), y_format: (t) => (t < 0.001 ? t.toExponential(0) : String(t)), y_title: "KL divergence, nats (log scale)"});
}

function position_section() {
  const record = report.positions;
  if (!record) return;
  const holder = element("div", {class: "scroll"}), key = element("div", {});
  const draw = (i) => {
    const drawn = position_chart(record.lengths[i], record.text);
    holder.replaceChildren(drawn ? drawn.node : "");
    key.replaceChildren(drawn ? key_of(drawn.keys) : "");
  };
  draw(0);
  const rows = record.lengths.flatMap((l) => l.plans.flatMap((p) => p.bins.map((b) => ({l, p, b}))));
  const table = table_of([
    {title: "chunk", header: true, value: (r) => r.l.n_ctx, text: (r) => grouped(r.l.n_ctx)},
    {title: "cache", left: true, value: (r) => r.p.name, text: (r) => r.p.name},
    {title: "first", value: (r) => r.b.first, text: (r) => grouped(r.b.first)},
    {title: "last", value: (r) => r.b.last, text: (r) => grouped(r.b.last)},
    {title: "KLD", value: (r) => r.b.kld, text: (r) => nats(r.b.kld, 5)},
    {title: "same top %", value: (r) => r.b.same_top, text: (r) => fixed(100 * r.b.same_top, 1)}], rows,
    {sortable: true, caption: `Mean over the chunks of ${record.text}, ${record.lengths[0].mode} mode`});
  table.id = "positions-table";
  const choices = record.lengths.map((l, i) => [String(i), `${grouped(l.n_ctx)} tokens, ${l.n_chunks} chunks`]);
  section("positions", "Error by position",
    element("div", {class: "controls screen-only"}, radios("length", "Chunks of:", choices, draw)),
    element("figure", {}, holder, key), folded("The same as a table", table));
}
