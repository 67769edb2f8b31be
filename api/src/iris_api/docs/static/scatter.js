// The training rows in two dimensions, with the visitor's point among them.

import { byId, el, svg } from "./dom.js";
import { badge, colourOf, mark } from "./marks.js";
import { atStep, count, withUnit } from "./text.js";

const MARGIN = { top: 14, right: 14, bottom: 44, left: 50 };

// `onMove([[feature, value], [feature, value]])` when the point is dragged.
export function createScatter({ features, classes, rows, labels }, onMove) {
  const axes = [byId("axis-x"), byId("axis-y")];
  const chosen = separatingPair(features, classes, rows, labels);
  axes.forEach((axis, i) => {
    axis.replaceChildren(...features.map((f, at) => el("option", { value: at }, f.label)));
    axis.value = chosen[i];
    axis.addEventListener("change", draw);
  });
  const plot = byId("plot");
  let current = null;
  let scales = null;

  function draw() {
    const width = plot.clientWidth;
    if (!width || !current) return;
    const height = Math.round(Math.min(400, Math.max(250, width * 0.62)));
    const [fx, fy] = axes.map((axis) => features[axis.value]);
    scales = {
      x: scale(fx, MARGIN.left, width - MARGIN.right),
      y: scale(fy, height - MARGIN.bottom, MARGIN.top),
    };
    const box = { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": describe(fx, fy) };
    plot.replaceChildren(svg("svg", box,
      grid(fx, fy, scales, width, height),
      svg("g", { class: "points" }, ...points()),
      svg("g", { class: "you" })));
    drawYou();
    if (byId("rows").open) fillTable();
  }

  function points() {
    const [x, y] = axes.map((axis) => axis.value);
    return rows.map((row, i) => mark(labels[i], 4, scales.x.to(row[x]), scales.y.to(row[y])));
  }

  function drawYou() {
    const group = plot.querySelector(".you");
    if (!group) return;
    const [x, y] = axes.map((axis, i) => [scales.x, scales.y][i].inside(current.values[axis.value]));
    const { bottom, left } = plotEdges(scales);
    group.replaceChildren(
      svg("path", { class: "guide", d: `M${left} ${y}H${x}M${x} ${bottom}V${y}` }),
      svg("circle", { class: "halo", cx: x, cy: y, r: 10 }),
      svg("circle", { class: `dot ${colourOf(current.winner)}`, cx: x, cy: y, r: 5.5 }));
  }

  function describe(fx, fy) {
    const rowsText = rows.length ? `${count(rows.length)} training rows and your point` : "Your point";
    return `Scatter plot of ${fx.label} and ${fy.label}: ${rowsText}. The table below has the same.`;
  }

  function fillTable() {
    const [x, y] = axes.map((axis) => Number(axis.value));
    const head = [features[x], features[y]].map((f) => withUnit(f.label, f.unit && `(${f.unit})`));
    const line = (name, row) => el("tr", {}, ...[name, row[x], row[y]].map((c) => el("td", {}, String(c))));
    byId("rows-table").replaceChildren(el("table", {},
      el("thead", {}, el("tr", {}, ...["Class", ...head].map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, line(`Your point: ${classes[current.winner]}`, current.values),
        ...rows.map((row, i) => line(classes[labels[i]], row)))));
  }

  byId("rows").addEventListener("toggle", () => byId("rows").open && fillTable());
  new ResizeObserver(draw).observe(plot);
  allowDragging(plot, (px, py) => onMove([
    [Number(axes[0].value), scales.x.from(px)], [Number(axes[1].value), scales.y.from(py)],
  ]));
  if (!rows.length) byId("scatter-title").textContent = "Against the training range";
  fillLegend(classes, rows.length);
  return {
    move(values, winner) {
      const first = !current;
      current = { values, winner };
      if (first) draw(); else drawYou();
      if (byId("rows").open) fillTable();
    },
  };
}

function scale({ lowest, highest, step }, start, end) {
  const factor = (end - start) / (highest - lowest);
  const digits = Math.max(0, Math.round(-Math.log10(step)));
  const inside = (value) => Math.min(highest, Math.max(lowest, value));
  const to = (value) => start + (value - lowest) * factor;
  return {
    start, end, to,
    inside: (value) => to(inside(value)),
    from: (pixel) => {
      const value = inside(lowest + (pixel - start) / factor);
      return Number((Math.round(value / step) * step).toFixed(digits));
    },
    ticks: niceTicks(lowest, highest, Math.abs(end - start) / 56),
  };
}

const plotEdges = ({ x, y }) => ({ left: x.start, right: x.end, top: y.end, bottom: y.start });

function grid(fx, fy, { x, y }, width, height) {
  const { left, right, top, bottom } = plotEdges({ x, y });
  const text = (at, anchor, words, more = {}) =>
    svg("text", { x: at[0], y: at[1], "text-anchor": anchor, ...more }, words);
  const lines = x.ticks.map(([t]) => `M${x.to(t)} ${top}V${bottom}`).concat(y.ticks.map(([t]) => `M${left} ${y.to(t)}H${right}`));
  const known = {
    class: "known", rx: 4, x: x.to(fx.minimum), y: y.to(fy.maximum),
    width: x.to(fx.maximum) - x.to(fx.minimum), height: y.to(fy.minimum) - y.to(fy.maximum),
  };
  return svg("g", { class: "grid" },
    svg("rect", known),
    svg("path", { d: lines.join("") }),
    ...x.ticks.map(([t, words]) => text([x.to(t), bottom + 16], "middle", words)),
    ...y.ticks.map(([t, words]) => text([left - 8, y.to(t) + 4], "end", words)),
    text([(left + right) / 2, height - 8], "middle", withUnit(fx.label, fx.unit && `(${fx.unit})`), { class: "axis" }),
    text([0, 0], "middle", withUnit(fy.label, fy.unit && `(${fy.unit})`),
      { class: "axis", transform: `translate(12 ${(top + bottom) / 2}) rotate(-90)` }));
}

function niceTicks(lowest, highest, wanted) {
  const rough = (highest - lowest) / Math.max(2, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.8);
  const first = Math.ceil(lowest / step);
  const number = Math.floor(highest / step) - first + 1;
  const values = Array.from({ length: number }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  return values.map((value) => [value, atStep(value, step)]);
}

// The two features whose means differ most between classes, against their spread.
function separatingPair(features, classes, rows, labels) {
  const merit = features.map((_, f) => {
    const values = rows.map((row) => row[f]);
    const all = mean(values);
    const between = classes.reduce((sum, _name, k) => {
      const own = values.filter((_v, i) => labels[i] === k);
      return own.length ? sum + own.length * (mean(own) - all) ** 2 : sum;
    }, 0);
    return between / (values.reduce((sum, v) => sum + (v - all) ** 2, 0) || 1);
  });
  const order = features.map((_, f) => f).sort((a, b) => merit[b] - merit[a] || a - b);
  return [order[0], order[1] ?? order[0]];
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function allowDragging(plot, onPoint) {
  const move = (event) => {
    const box = plot.getBoundingClientRect();
    onPoint(event.clientX - box.left, event.clientY - box.top);
  };
  plot.addEventListener("pointerdown", (event) => {
    plot.setPointerCapture(event.pointerId);
    move(event);
  });
  plot.addEventListener("pointermove", (event) => {
    if (plot.hasPointerCapture(event.pointerId)) move(event);
  });
}

function fillLegend(classes, hasRows) {
  const you = svg("svg", { class: "badge you", viewBox: "-8 -8 16 16", "aria-hidden": "true" },
    svg("circle", { class: "halo", r: 6 }), svg("circle", { class: "dot", r: 2.8 }));
  const known = svg("svg", { class: "badge", viewBox: "-8 -8 16 16", "aria-hidden": "true" },
    svg("rect", { class: "known", x: -8, y: -6, width: 16, height: 12, rx: 3 }));
  const entries = hasRows ? classes.map((name, i) => el("li", {}, badge(i), name)) : [];
  byId("legend").replaceChildren(...entries, el("li", {}, known, "Training range"), el("li", {}, you, "Drag your point"));
}
