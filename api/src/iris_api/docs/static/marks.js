// How a class looks: one colour and one shape, so that neither is needed alone.

import { svg } from "./dom.js";

const COLOURS = 7;
const SHAPES = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (r) => polygon([[-1, -1], [1, -1], [1, 1], [-1, 1]], r * 0.88),
  (r) => polygon([[0, -1.2], [1.1, 0.85], [-1.1, 0.85]], r),
  (r) => polygon([[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]], r),
  (r) => polygon([[0, 1.2], [1.1, -0.85], [-1.1, -0.85]], r),
  (r) => polygon(CROSS, r * 0.42),
];
const CROSS = [
  [-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1],
  [1, 3], [-1, 3], [-1, 1], [-3, 1], [-3, -1], [-1, -1],
];

export const colourOf = (position) => `class-${position % COLOURS}`;

export function mark(position, radius, x, y) {
  return svg("path", {
    d: SHAPES[position % SHAPES.length](radius),
    transform: `translate(${x} ${y})`,
    class: `mark ${colourOf(position)}`,
  });
}

export function badge(position) {
  const box = { class: "badge", viewBox: "-8 -8 16 16", "aria-hidden": "true" };
  return svg("svg", box, mark(position, 5, 0, 0));
}

function polygon(points, r) {
  return `M${points.map(([x, y]) => `${x * r} ${y * r}`).join("L")}z`;
}
