// Needles: the share that every plan finds, by length of the context and depth of the needle.

const depth_text = (depth) => `${depth}-${depth === 90 ? 100 : depth + 9}`;

function needle_figure(map, plan, depths) {
  const lengths = [...new Set(plan.cells.map((c) => c.length))];
  const cell_of = (length, depth) => {
    const place = [plan.name, `${grouped(length)} tokens, depth ${depth_text(depth)} %`], c = plan.cells.find((x) => x.length === length && x.depth === depth);
    if (!c) return {opacity: 0, lines: place.concat("no item")};
    const share = fixed(100 * c.mean, 0);
    return {opacity: c.mean, text: c.informative ? share : `(${share})`,
            lines: place.concat([`found ${fixed(100 * c.mean, 1)} %, items: ${c.n}`],
                                c.reference === null ? [] : [`${signed(100 * (c.mean - c.reference), 1)} points to the reference`],
                                c.informative ? [] : ["the reference finds less than half: says nothing about a plan"])};
  };
  const rows = lengths.map((length) => ({label: grouped(length), cells: depths.map((depth) => cell_of(length, depth))}));
  return element("figure", {class: "needle-map"}, element("figcaption", {}, `${task_title(map)}: ${plan.name}`),
    cell_grid(depths, "depth of the needle, percent of the text from", rows, `Share of needles that ${plan.name} finds by length and depth.`));
}

function needles_section() {
  const maps = report.needles;
  if (maps.length === 0) return;
  const rows = maps.flatMap((map) => map.plans.flatMap((plan) => plan.cells.map((c) => ({map, plan, c}))));
  const depths_of = (map) => [...new Set(map.plans.flatMap((plan) => plan.cells.map((c) => c.depth)))].sort((a, b) => a - b);
  const to_reference = (c) => (c.reference === null ? null : c.mean - c.reference);
  const table = table_of([
    {title: "task", left: true, header: true, value: (r) => task_title(r.map), text: (r) => task_title(r.map)},
    {title: "plan", left: true, value: (r) => r.plan.name, text: (r) => r.plan.name},
    {title: "length", value: (r) => r.c.length, text: (r) => grouped(r.c.length)},
    {title: "depth %", value: (r) => r.c.depth, text: (r) => depth_text(r.c.depth)},
    {title: "items", value: (r) => r.c.n, text: (r) => String(r.c.n)},
    {title: "found %", value: (r) => r.c.mean, text: (r) => fixed(100 * r.c.mean, 1)},
    {title: "minus reference", value: (r) => to_reference(r.c), text: (r) => change_text("found", to_reference(r.c))}], rows,
    {sortable: true, caption: "Percent of the needles found, and points to the reference"});
  table.id = "needles-table";
  section("needles", "Needles by length and depth",
    ...maps.flatMap((map) => map.plans.map((plan) => needle_figure(map, plan, depths_of(map)))),
    shade_key([0, 0.25, 0.5, 0.75, 1].map((share) => [`${100 * share} %`, share]),
      rows.some((r) => !r.c.informative) ? ["(..): the reference finds less than half there, which says nothing about a plan"] : []),
    folded("The same as a table", table));
}
