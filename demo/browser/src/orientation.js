// The usual orientation of short-axis slices, as in ctct/io/orientation.py.

import { Layout } from "./arrays.js";
import { cross, dot, norm } from "./vectors.js";

const AXIS = [0.65, -0.6, -0.45];
export const LONG_AXIS = AXIS.map((value) => value / norm(AXIS));
export const MAX_DEGREES = 45;

/** How slices are stored: whether rows are columns, and the reversed axes among slices, rows, columns. */
export function findOrientation(affine) {
  const axis = (n) => [-affine[0][n], -affine[1][n], affine[2][n]];
  let [columns, rows] = [axis(0), axis(1)];
  const slices = axis(2);
  const normal = cross(columns, rows);
  const length = norm(normal);
  const isShortAxis =
    length > 0 && Math.abs(dot(normal, LONG_AXIS)) >= Math.cos((MAX_DEGREES * Math.PI) / 180) * length;
  if (!isShortAxis) return { transposed: false, reversed: [false, false, false] };
  columns = columns.map((value) => value / norm(axis(0)));
  rows = rows.map((value) => value / norm(axis(1)));
  const transposed = Math.abs(rows[0]) > Math.abs(columns[0]);
  if (transposed) [columns, rows] = [rows, columns];
  const columnsReversed = columns[0] < 0;
  const seenFromBase = dot(cross(columns, rows), LONG_AXIS) > 0;
  return {
    transposed,
    reversed: [dot(slices, LONG_AXIS) > 0, seenFromBase !== columnsReversed, columnsReversed],
  };
}

/** Where an array in the usual orientation has its elements in the stored one, (T, Z, H, W). */
export function usualLayout({ transposed, reversed }, [frames, slices, height, width]) {
  const size = transposed ? [slices, width, height] : [slices, height, width];
  const strides = [height * width, ...(transposed ? [1, width] : [width, 1])];
  let offset = 0;
  reversed.forEach((isReversed, n) => {
    if (!isReversed) return;
    offset += (size[n] - 1) * strides[n];
    strides[n] = -strides[n];
  });
  return new Layout([frames, ...size], [slices * height * width, ...strides], offset);
}
