// Tables: one for every chart, some of them sortable.

// columns: [{title, left, text(row), value(row), node(row), header}]; value is what sorting compares and what the cell carries as
// data-value; null sorts last.   options: {caption, sortable, row_class(row)}
function table_of(columns, rows, options) {
  const body = element("tbody", {});
  const heads = columns.map((column) => {
    const head = element("th", {scope: "col", class: column.left ? "left" : null});
    if (options.sortable && column.value) {
      const button = element("button", {type: "button"}, column.title);
      button.addEventListener("click", () => sort_by(column, head));
      head.append(button);
    } else {
      head.append(column.title);
    }
    return head;
  });

  function fill(sorted) {
    body.replaceChildren(...sorted.map((row) => {
      const line = element("tr", {class: options.row_class ? options.row_class(row) : null});
      for (const column of columns) {
        const cell = element(column.header ? "th" : "td", {scope: column.header ? "row" : null, class: column.left ? "left" : null});
        const value = column.value ? column.value(row) : null;
        if (value !== null && value !== undefined) cell.setAttribute("data-value", value);
        cell.append(column.node ? column.node(row) : column.text(row));
        line.append(cell);
      }
      return line;
    }));
  }

  function sort_by(column, head) {
    const falling = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
    fill(rows.slice().sort((row_a, row_b) => {
      const a = column.value(row_a), b = column.value(row_b);
      if (a === null || b === null) return (a === null) - (b === null);
      return falling ? compare(b, a) : compare(a, b);
    }));
  }

  fill(rows);
  const table = element("table", {}, element("caption", {}, options.caption), element("thead", {}, element("tr", {}, ...heads)), body);
  return element("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": options.caption}, table);
}

const folded = (summary, ...children) => element("details", {}, element("summary", {}, summary), ...children);

// --- Held-out text ---
// The interval of one plan on the scale of all of them; the figures stand in the cells beside it.
function interval_mark(plan, scale, floor) {
  const svg = d3.create("svg").attr("class", "interval").attr("width", 120).attr("height", 18).attr("aria-hidden", "true");
  if (floor > 0) svg.append("line").attr("class", "line-floor").attr("x1", scale(floor)).attr("x2", scale(floor)).attr("y2", 18);
  const mark = svg.append("g").attr("class", plan.label === "tuned" ? "kind-chosen" : "kind-front");
  if (plan.kld_ci_low > 0)
    mark.append("path").attr("class", "bar-error").attr("d", `M${scale(plan.kld_ci_low)},9H${scale(plan.kld_ci_high)}`);
  if (plan.kld > 0)
    mark.append("path").attr("class", "shape").attr("transform", `translate(${scale(plan.kld)},9)`).attr("d", kShapes.dot);
  return svg.node();
}

function held_out_section() {
  const check = report.held_out;
  if (!check) return;
  const plans = check.plans;
  const measured = plans.flatMap((p) => [p.kld, p.kld_ci_low, p.kld_ci_high]).filter((x) => x > 0);
  const floor_shown = check.floor > Math.min(...measured) / 10;
  const known = floor_shown ? measured.concat([check.floor]) : measured;
  const scale = d3.scaleLog().domain(known.length ? [Math.min(...known) * 0.9, Math.max(...known) * 1.1] : [0.1, 1]).range([6, 114]);
  const digits = Math.min(5, digits_for(plans.map((p) => p.kld)));  // twelve columns want narrow figures
  const first = plans[0];
  const name = (p) => {
    const span = element("span", {}, p.label);
    if (p === first) span.append(element("span", {class: "badge"}, "chosen"));
    return span;
  };
  const columns = [
    {title: "plan", left: true, header: true, value: (p) => p.label, node: name},
    {title: "payload", value: (p) => p.payload_bits, text: (p) => fixed(p.payload_bits, 2)},
    {title: "effective", value: (p) => p.effective_bits, text: (p) => fixed(p.effective_bits, 2)},
    {title: "KLD", value: (p) => p.kld, text: (p) => nats(p.kld, digits)},
    {title: "low", value: (p) => p.kld_ci_low, text: (p) => nats(p.kld_ci_low, digits)},
    {title: "high", value: (p) => p.kld_ci_high, text: (p) => nats(p.kld_ci_high, digits)},
    {title: "log scale", node: (p) => interval_mark(p, scale, floor_shown ? check.floor : 0)},
    {title: "p99.9", value: (p) => p.p999, text: (p) => fixed(p.p999, 3)},
    {title: "same top %", value: (p) => p.same_top, text: (p) => fixed(100 * p.same_top, 1)},
    {title: "minus chosen", value: (p) => (p === first ? null : p.vs_tuned),
     text: (p) => (p === first ? "-" : signed(p.vs_tuned, digits))},
    {title: "low", value: (p) => p.vs_tuned_low, text: (p) => signed(p.vs_tuned_low, digits)},
    {title: "high", value: (p) => p.vs_tuned_high, text: (p) => signed(p.vs_tuned_high, digits)},
  ];
  const table = table_of(columns, plans, {
    caption: `KL divergence from the f16 cache in nats, on text that the search did not see: ${grouped(check.n_tokens)} tokens of ` +
      `${check.chunk_tokens}-token chunks. Noise floor ${nats(check.floor, digits)}` +
      (floor_shown ? " (dashed)." : "."),
    sortable: true, row_class: (p) => (p === first ? "chosen" : null),
  });
  table.id = "held-out-table";
  section("held-out", "Held-out text", table, element("p", {class: "muted"},
    "payload and effective: bits per element, codes only and all stored bytes. low and high bound the 95 % interval to their left; it needs 8 chunks. p99.9: KLD of the worst 0.1 % of tokens. same top: share of tokens with the same most likely one. minus chosen: " +
    "KLD above the chosen plan's on the same tokens."));
}
