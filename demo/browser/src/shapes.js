// Where a tool acts on a slice. Places are [row, column] in pixels, the middle of the first pixel [0, 0].

import { maskOf } from "./masks.js";

/** Calls `visit(row, column)` for the pixels within a radius of the line between two places, and of its end. */
export function sweepDisc(from, to, radiusMm, spacingMm, [rows, columns], visit) {
  const start = from.map((value, axis) => value * spacingMm[axis]), end = to.map((value, axis) => value * spacingMm[axis]);
  const step = [end[0] - start[0], end[1] - start[1]];
  const squared = step[0] ** 2 + step[1] ** 2;
  const span = (axis, count) => [
    Math.max(0, Math.ceil((Math.min(start[axis], end[axis]) - radiusMm) / spacingMm[axis])),
    Math.min(count - 1, Math.floor((Math.max(start[axis], end[axis]) + radiusMm) / spacingMm[axis])),
  ];
  const [top, bottom] = span(0, rows), [left, right] = span(1, columns);
  for (let row = top; row <= bottom; row++)
    for (let column = left; column <= right; column++) {
      const y = row * spacingMm[0] - start[0], x = column * spacingMm[1] - start[1];
      const share = squared ? Math.min(1, Math.max(0, (y * step[0] + x * step[1]) / squared)) : 0;
      if (Math.hypot(y - share * step[0], x - share * step[1]) <= radiusMm) visit(row, column);
    }
  const [row, column] = to.map(Math.round); // a small brush has at least the pixel under it
  if (row >= 0 && row < rows && column >= 0 && column < columns) visit(row, column);
}

/** Distance in mm from a pixel to the nearest one of another label, at most `mostMm`. */
export function roomAround(labels, [rows, columns], [row, column], spacingMm, mostMm) {
  const own = labels[row * columns + column];
  let least = mostMm;
  sweepDisc([row, column], [row, column], mostMm, spacingMm, [rows, columns], (y, x) => {
    if (labels[y * columns + x] !== own)
      least = Math.min(least, Math.hypot((y - row) * spacingMm[0], (x - column) * spacingMm[1]));
  });
  return least;
}

/**
 * The mask (H, W) at a share of the way from one mask to another, by their distances from the outline (Raya and
 * Udupa, IEEE Trans Med Imaging 9:32, 1990).
 */
export function interpolateMasks(first, second, share, [rows, columns], spacingMm) {
  const pixels = new Set();
  for (const mask of [first, second]) mask.forEach((inside, at) => { if (inside) pixels.add(at); });
  const near = [first, second].map((mask) => outlineOf(mask, rows, columns));
  const depth = (mask, outline, at) => {
    const [y, x] = [Math.floor(at / columns), at % columns];
    let least = Infinity;
    for (const [row, column] of outline)
      least = Math.min(least, ((row - y) * spacingMm[0]) ** 2 + ((column - x) * spacingMm[1]) ** 2);
    return Math.sqrt(least) * (mask[at] ? 1 : -1);
  };
  const between = new Uint8Array(first.length); // lies within both masks together
  for (const at of pixels)
    if ((1 - share) * depth(first, near[0], at) + share * depth(second, near[1], at) >= 0) between[at] = 1;
  return between;
}

/** The middles of the edges between the pixels of a mask and others. */
function outlineOf(mask, rows, columns) {
  const edges = [];
  mask.forEach((inside, at) => {
    if (!inside) return;
    const [y, x] = [Math.floor(at / columns), at % columns];
    if (y === 0 || !mask[at - columns]) edges.push([y - 0.5, x]);
    if (y === rows - 1 || !mask[at + columns]) edges.push([y + 0.5, x]);
    if (x === 0 || !mask[at - 1]) edges.push([y, x - 0.5]);
    if (x === columns - 1 || !mask[at + 1]) edges.push([y, x + 0.5]);
  });
  return edges;
}

/** Which pixels of a slice have one of some labels. */
export const maskWith = (labels, wanted) => maskOf(labels, (label) => wanted.includes(label));
