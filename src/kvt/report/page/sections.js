// Summary, memory, provenance, commands; then everything in order.

function tiles() {
  const list = element("dl", {class: "tiles", "aria-label": "The chosen plan in short"});
  const tile = (title, big, small) => list.append(element("div", {class: "tile"}, element("dt", {}, title),
    element("dd", {}, element("div", {class: "big"}, big), element("div", {class: "muted"}, small))));
  const checked = report.held_out ? report.held_out.plans[0] : null;
  const searched = report.chosen >= 0 ? study.evaluations[report.chosen] : null;
  const own = checked || searched;
  if (!own) return null;
  tile("Bits per element", fixed(own.effective_bits, 2), `stored; ${fixed(own.payload_bits, 2)} of them payload`);
  const floor = checked ? report.held_out.floor : study.floor, digits = digits_for([own.kld]);
  tile(checked ? "KL divergence, held-out text" : on_text ? "KL divergence, search text" : searched_loss.long, nats(own.kld, digits),
    (own.kld_ci_low === null ? "" : `95 % ${interval_text(own.kld_ci_low, own.kld_ci_high, digits)}; `) + `noise floor ${nats(floor, digits)}`);
  if (checked) tile("Same most likely token", fixed(100 * checked.same_top, 1) + " %", "as with the f16 cache, held-out text");
  if (report.memory.length > 0) {
    const row = report.memory[Math.min(3, report.memory.length - 1)];
    tile(`Cache of ${grouped(row.cells)} tokens`, mib(row.plan), `f16 takes ${mib(row.f16)}`);
  }
  return list;
}

// --- Memory ---
const kCaches = [["f16", "f16"], ["q8_0 (8.5 bits)", "q8_0"], ["q4_0 (4.5 bits)", "q4_0"], ["this plan", "plan"]];

function memory_chart(row) {
  const height = kCaches.length * 38 + 8, left = 130, right = kWidth - 90;
  const svg = chart(height, `Size of the cache of ${row.cells} tokens. Arrow keys move between the bars; the table below has the same figures.`);
  const x = d3.scaleLinear().domain([0, Math.max(...kCaches.map(([, key]) => row[key]))]).range([left, right]);
  const marks = kCaches.map(([name, key], i) => {
    const y = i * 38 + 6, g = svg.append("g");
    svg.append("text").attr("x", left - 10).attr("y", y + 18).attr("text-anchor", "end").attr("aria-hidden", "true")
      .style("font-weight", key === "plan" ? 700 : 400).text(name);
    g.append("rect").attr("class", "shape bar" + (key === "plan" ? " own" : "")).attr("x", left).attr("y", y).attr("height", 26)
      .attr("width", x(row[key]) - left);
    svg.append("text").attr("x", x(row[key]) + 8).attr("y", y + 18).attr("aria-hidden", "true")
      .style("font-weight", key === "plan" ? 700 : 400).text(mib(row[key]));
    return {node: g.node(), lines: [name, mib(row[key]), grouped(row[key]) + " bytes"]};
  });
  make_reachable(marks, 0);
  return svg.node();
}

function memory_section() {
  const rows = report.memory;
  if (rows.length === 0) return;
  const holder = element("div", {class: "scroll"}), select = element("select", {id: "context"});
  rows.forEach((row, i) => select.append(element("option", {value: i}, grouped(row.cells))));
  const draw = () => holder.replaceChildren(memory_chart(rows[select.value]));
  select.value = String(Math.min(5, rows.length - 1));
  select.addEventListener("change", draw);
  draw();
  const column = ([title, key]) => ({title, value: (r) => r[key], text: (r) => mib(r[key])});
  const sliding = report.formats && report.formats.some((f) => f.sliding);
  section("memory", "Memory by context length",
    element("div", {class: "controls"}, element("label", {for: "context"}, "Tokens of context:"), select),
    element("figure", {}, holder),
    table_of([{title: "context", header: true, value: (r) => r.cells, text: (r) => grouped(r.cells)}].concat(kCaches.map(column)), rows,
      {caption: "Whole K and V cache of one sequence, every stored byte counted" + (study.calibration ?
        `; the plan's calibration covers ${grouped(study.calibration.positions)} tokens` : "") +
        (sliding ? "; layers with a sliding window are counted at full length" : "")}));
}

// --- Provenance ---
function provenance_section() {
  const m = study.model, check = report.held_out, profile = report.sensitivity;
  const facts = element("dl", {class: "facts"});
  const fact = (name, value) => { if (value) facts.append(element("dt", {}, name), element("dd", {}, value)); };
  const hash = (sha) => (sha ? element("code", {}, sha) : null);
  const dims = m.head_dim_k === m.head_dim_v ? m.head_dim_k : `${m.head_dim_k}/${m.head_dim_v}`;
  fact("Model", `${m.name} (${m.arch}, ${m.n_layer} layers, ${m.n_kv_heads} KV heads, head dimension ${dims})`);
  fact("Model file, SHA-256", hash(m.file_sha256));
  fact("Quantizer", study.mode);
  fact("Search", study.method !== "knapsack" ?
    `paper's: ${study.method === "moead" ? "MOEA/D" : "NSGA-II"} over ${study.groups.length} layer groups, population ${study.population}, ${study.generations} generations` :
    "exact allocation of bits over layers (knapsack)");
  fact("Seed", String(study.seed));
  fact("Plans scored", `${study.evaluations.length}${study.complete ? "" : ", not finished"}`);
  fact("Search text", `${study.n_chunks} chunks of ${study.chunk_tokens} tokens, noise floor ${study.floor}`);
  fact("Search text, SHA-256", hash(study.data_sha256));
  if (check) fact("Held-out text", `${check.n_chunks} chunks of ${check.chunk_tokens} tokens, ${grouped(check.n_tokens)} scored, noise floor ${check.floor}`);
  if (check) fact("Held-out text, SHA-256", hash(check.data_sha256));
  if (profile) fact("Profile", `${profile.n_prompts} prompts, ${profile.n_generated} tokens generated each`);
  if (profile) fact("Prompts, SHA-256", hash(profile.data_sha256));
  if (study.calibration) fact("Calibration, SHA-256", hash(study.calibration.sha256));
  fact("Inputs of the search, SHA-256", hash(study.inputs_sha256));
  fact("Plan made by", report.plan_tool_version ? "kvtuner " + report.plan_tool_version : null);
  fact("Report made by", "kvtuner " + report.tool_version);
  section("provenance", "Provenance", facts);
}

function commands_section() {
  section("commands", "Commands to repeat it",
    element("p", {class: "muted"}, "model.gguf and tuned stand for the model file and a folder. The texts are those that come with kvtuner unless " +
      "others were given; a budget (--bits, --max-kld) is not part of the records."),
    element("pre", {class: "commands", tabindex: "0", role: "region", "aria-label": "Commands"}, report.commands.join("\n")));
}

// --- Theme: system, light, dark in turn ---
function theme_button() {
  const button = document.getElementById("theme"), themes = ["system", "light", "dark"];
  let now = 0;
  try { now = Math.max(0, themes.indexOf(localStorage.getItem("kvtuner-theme"))); } catch (error) { now = 0; }
  const apply = () => {
    if (now === 0) document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", themes[now]);
    button.textContent = "Theme: " + themes[now];
  };
  button.addEventListener("click", () => {
    now = (now + 1) % themes.length;
    try { localStorage.setItem("kvtuner-theme", themes[now]); } catch (error) { /* a browser that stores nothing */ }
    apply();
  });
  apply();
}

theme_button();
document.getElementById("subtitle").textContent =
  `Per-layer precision of the KV cache; ${study.mode} quantizer, ${study.evaluations.length} plans scored`;
const main = document.getElementById("main");
const warn = (text) => main.append(element("p", {class: "warning"}, text));
if (!study.complete) warn("The search was not finished when this report was made; the figures are those so far.");
if (!report.held_out) warn("There is no held_out.json: the figures are those of the text that the search was made on.");
const short = tiles();
if (short) main.append(short);
frontier_section();
plan_section();
increments_section();
pairs_section();
held_out_section();
memory_section();
speed_section();
position_section();
tasks_section();
changed_section();
needles_section();
provenance_section();
commands_section();
