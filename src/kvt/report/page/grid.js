// Heat maps: grids of cells on one scale, each cell a mark that the keyboard reaches.

const kGutter = 74, kRow = 30;

// rows: [{label, cells: [{opacity, text, lines, picked, candidate, group}]}]; columns: their numbers; title: what these count
function cell_grid(columns, title, rows, label) {
  const size = Math.min(44, (kWidth - kGutter - 4) / columns.length), top = 4, height = top + rows.length * kRow + 40;
  const svg = chart(height, label + " Arrow keys move between the cells; the table below has the same figures.");
  const marks = [];
  rows.forEach((row, r) => {
    const y = top + r * kRow;
    svg.append("text").attr("x", kGutter - 10).attr("y", y + kRow / 2 + 4).attr("text-anchor", "end").attr("aria-hidden", "true")
      .text(row.label);
    row.cells.forEach((cell, c) => {
      const x = kGutter + c * size;
      const hot = cell.opacity >= 0.55;
      const g = svg.append("g").attr("class", `${hot ? "hot " : ""}${cell.picked ? "picked " : ""}${cell.group ? "group-1" : ""}`)
        .attr("transform", `translate(${x},${y})`);
      g.append("rect").attr("class", "cell-back").attr("width", size).attr("height", kRow);
      g.append("rect").attr("class", "cell-heat").attr("width", size).attr("height", kRow).attr("fill-opacity", cell.opacity);
      g.append("rect").attr("class", "cell-edge shape").attr("x", 1).attr("y", 1).attr("width", Math.max(1, size - 2)).attr("height", kRow - 2);
      if (cell.text && size >= 7 * cell.text.length + 2)
        g.append("text").attr("x", size / 2).attr("y", kRow / 2 + 4).attr("text-anchor", "middle").text(cell.text);
      if (cell.candidate) g.append("circle").attr("class", "candidate").attr("cx", size / 2).attr("cy", kRow / 2).attr("r", Math.min(2.5, size / 5));
      marks.push({node: g.node(), lines: cell.lines});
    });
  });
  const every = size >= 20 ? 1 : size >= 9 ? 5 : 10, base = top + rows.length * kRow;
  columns.forEach((column, c) => {
    if (column % every === 0)
      svg.append("text").attr("class", "soft").attr("x", kGutter + (c + 0.5) * size).attr("y", base + 16).attr("text-anchor", "middle")
        .attr("aria-hidden", "true").text(column);
  });
  svg.append("text").attr("class", "soft").attr("x", kGutter + columns.length * size / 2).attr("y", base + 34)
    .attr("text-anchor", "middle").attr("aria-hidden", "true").text(title);
  make_reachable(marks, columns.length);
  return element("div", {class: "scroll"}, svg.node());
}
