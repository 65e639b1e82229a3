// Lines that compare caches: one series each, marks that the keyboard reaches, a key.

const kSeriesShapes = ["disc", "star", "diamond", "triangle", "dot"];
const kSeriesKinds = ["mixed", "chosen", "front", "rival", "uniform"];

// o: {label, series: [{name, points: [{x, value, low, high, lines}]}], x(range), y(range): scales, x_title, x_format, y_title, y_ticks,
//     y_format, floor, apart}   low and high: ends of a bar or null; floor: a value or 0; apart: units between the marks of neighbours
function series_chart(o) {
  const height = 380, left = 74, right = kWidth - 20, top = 14, bottom = height - 50;
  const svg = chart(height, o.label + " Arrow keys move between the points; a table has the same figures.");
  const x = o.x([left + 30, right - 30]), y = o.y([bottom, top]);
  svg.selectAll(null).data(o.y_ticks(y)).enter().append("line").attr("class", "grid").attr("x1", left).attr("x2", right)
    .attr("y1", (t) => y(t)).attr("y2", (t) => y(t));
  svg.append("g").attr("class", "axis").attr("aria-hidden", "true").attr("transform", `translate(0,${bottom})`)
    .call(d3.axisBottom(x).tickFormat(o.x_format)).append("text").attr("class", "soft").attr("x", (left + right) / 2).attr("y", 40)
    .attr("text-anchor", "middle").text(o.x_title);
  svg.append("g").attr("class", "axis").attr("aria-hidden", "true").attr("transform", `translate(${left},0)`)
    .call(d3.axisLeft(y).tickValues(o.y_ticks(y)).tickFormat(o.y_format)).append("text").attr("class", "soft")
    .attr("transform", `translate(-60,${(top + bottom) / 2}) rotate(-90)`).attr("text-anchor", "middle").text(o.y_title);
  svg.selectAll(".axis > text").style("fill", "var(--muted)");
  if (o.floor > 0) {
    svg.append("line").attr("class", "line-floor").attr("x1", left).attr("x2", right).attr("y1", y(o.floor)).attr("y2", y(o.floor));
    svg.append("text").attr("class", "soft").attr("x", left + 6).attr("y", y(o.floor) - 5).text("noise floor " + nats(o.floor, 4));
  }
  const marks = [], stock = o.series.some((s) => s.name.startsWith("f16")) ? 0 : 1;  // a plan keeps its mark where stock f16 is not shown
  const kind_of = (s) => kSeriesKinds[(s + stock) % kSeriesKinds.length], shape_of = (s) => kSeriesShapes[(s + stock) % kSeriesShapes.length];
  o.series.forEach((series, s) => {
    const group = svg.append("g").attr("class", "kind-" + kind_of(s));
    if (series.points.length > 1)
      group.append("path").attr("class", "line-series").attr("d", "M" + series.points.map((p) => `${x(p.x)},${y(p.value)}`).join("L"));
    for (const point of series.points) {
      const px = x(point.x) + (s - (o.series.length - 1) / 2) * o.apart, g = group.append("g");
      if (point.low !== null)
        g.append("path").attr("class", "bar-error").attr("d", `M${px},${y(point.low)}V${y(point.high)}M${px - 4},${y(point.low)}h8M${px - 4},${y(point.high)}h8`);
      g.append("path").attr("class", "shape").attr("transform", `translate(${px},${y(point.value)})`)
        .attr("d", kShapes[shape_of(s)]);
      g.append("circle").attr("class", "hit").attr("cx", px).attr("cy", y(point.value)).attr("r", 9);
      marks.push({node: g.node(), lines: [series.name].concat(point.lines)});
    }
  });
  make_reachable(marks, 0);
  return {node: svg.node(), keys: o.series.map((series, s) => [kind_of(s), shape_of(s), series.name])};
}
