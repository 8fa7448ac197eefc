// The rectangle of a slice that the networks get, as in ctct/inference/crop.py and
// ctct/measurement/heart_box.py.

import { range } from "./arrays.js";
import { findHeart } from "./components.js";
import { LV } from "./labels.js";
import { or } from "./masks.js";
import { roundHalfEven } from "./numbers.js";

export const SEARCH_STEP = 3;
const STEP = 16;
const MARGIN_MM = 6;
/** Rows or columns of the grid at its edge: labels that reach them may go on beyond it. */
const EDGE = 2;
/** Most places on either side of the middle of a slice at which a heart is looked for. */
const MAX_PLACES = 2;

/** A rectangle of every slice. */
export class Crop {
  constructor(start, size, onHeart = false, scale = 1) {
    Object.assign(this, { start, size, onHeart, scale });
  }

  /** Put the rectangle of a slice (H, W) into `target`, where beyond the slice nothing changes. */
  cut(slice, native, target) {
    this._forEachRow(native, (inSlice, inCrop, count) => {
      target.set(slice.subarray(inSlice, inSlice + count), inCrop);
    });
  }

  /** Put a rectangle where it was cut from. */
  paste(rectangle, slice, native) {
    this._forEachRow(native, (inSlice, inCrop, count) => {
      slice.set(rectangle.subarray(inCrop, inCrop + count), inSlice);
    });
  }

  _forEachRow([height, width], copy) {
    const [top, left] = this.start, [rows, columns] = this.size;
    const first = Math.max(left, 0), end = Math.min(left + columns, width);
    if (end <= first) return;
    for (let row = Math.max(top, 0); row < Math.min(top + rows, height); row++)
      copy(row * width + first, (row - top) * columns + first - left, end - first);
  }
}

const rounded = (pixels) => Math.ceil(pixels / STEP) * STEP;

function visibleExtent(spacingMm, grid) {
  const gridMm = grid.spacing_mm;
  return Math.ceil(((grid.size - 1) * gridMm) / spacingMm + 2 * Math.max(gridMm / spacingMm, 1));
}

/** The crop of the extent visible to a grid. */
export function visibleCrop(native, spacingMm, grid, scale = 1) {
  const size = grid.stretch ? native : native.map((pixels, n) => {
    const odd = pixels % 2;
    return rounded(Math.min(visibleExtent(scale * spacingMm[n], grid), pixels) - odd) + odd;
  });
  const start = native.map((pixels, n) => Math.floor((pixels - size[n]) / 2));
  return new Crop(start, size, false, grid.stretch ? 1 : scale);
}

/** The crop of the extent visible to a grid about a row and column, also beyond the slice. */
export function movedCrop(center, spacingMm, grid, scale = 1, onHeart = false) {
  const size = spacingMm.map((mm) => rounded(visibleExtent(scale * mm, grid)));
  return new Crop(size.map((n, axis) => roundHalfEven(center[axis] - (n - 1) / 2)), size, onHeart, scale);
}

/** Whether a heart reaches the edge of what a grid shows of slices that go on beyond it. */
export function reachesBeyond(box, crop, native, spacingMm, grid) {
  if (grid.stretch) return false;
  const halfMm = (grid.size * grid.spacing_mm) / 2;
  return spacingMm.some((mm, axis) => {
    const middle = crop.start[axis] + (crop.size[axis] - 1) / 2;
    const fromMiddle = (at) => Math.abs(at - middle) * mm * crop.scale;
    return [[box.first[axis], 0], [box.last[axis], native[axis] - 1]].some(([edge, end]) =>
      fromMiddle(edge) > halfMm - EDGE * grid.spacing_mm && fromMiddle(end) > halfMm);
  });
}

/** Crops that show what the one about the middle of the slices does not, the nearest first. */
export function otherPlaces(native, spacingMm, grid) {
  if (grid.stretch) return [];
  const halfMm = (grid.size * grid.spacing_mm) / 2;
  const [rows, columns] = native.map((pixels, axis) => {
    const hiddenMm = Math.max((pixels * spacingMm[axis]) / 2 - halfMm, 0);
    const count = Math.min(Math.ceil(hiddenMm / halfMm), MAX_PLACES);
    const stepMm = Math.min(hiddenMm / Math.max(count, 1), halfMm);
    return range(2 * count + 1).map((n) => (n - count) * stepMm);
  });
  const places = rows.flatMap((row) => columns.map((column) => [row, column])).filter(([a, b]) => a || b);
  places.sort((a, b) => a[0] ** 2 + a[1] ** 2 - (b[0] ** 2 + b[1] ** 2));
  return places.map((place) =>
    movedCrop(place.map((mm, axis) => (native[axis] - 1) / 2 + mm / spacingMm[axis]), spacingMm, grid));
}

/** Scales at which a heart is searched for, one after the other. */
export const searchScales = (heartExtentMm) => (heartExtentMm ? [1, 1.6, 0.7] : [1]);

/** The crop around the heart in slices (Z, H, W) of one frame; null without one, or if it is too large. */
export function heartCrop(labels, size, spacingMm, grid) {
  const box = heartBox(labels, size);
  if (!box) return null;
  const extentMm = Math.max(...[0, 1].map((n) => (box.last[n] - box.first[n] + 1) * spacingMm[n]));
  const shownMm = grid.heart_extent_mm || extentMm;
  if (shownMm + 2 * MARGIN_MM > grid.size * grid.spacing_mm) return null;
  const scale = shownMm / extentMm;
  const center = [0, 1].map((axis) => (box.first[axis] + box.last[axis]) / 2);
  return movedCrop(center, spacingMm, grid, scale, true);
}

/** The smallest rectangle around the heart, over all slices; null where there is no LV. */
export function heartBox(labels, [slices, height, width]) {
  const { rv, wall } = findHeart(labels, [slices, height, width]);
  if (!labels.some((label, at) => label === LV && wall[at])) return null;
  const first = [height, width], last = [-1, -1];
  or(rv, wall).forEach((inside, at) => {
    if (!inside) return;
    [Math.floor(at / width) % height, at % width].forEach((place, n) => {
      first[n] = Math.min(first[n], place);
      last[n] = Math.max(last[n], place);
    });
  });
  return { first, last };
}

/** Whether labels (Z, H, W) reach the last two rows or columns of the grid in any slice. */
export function touchesEdge(labels, [slices, height, width], crop, spacingMm, grid) {
  const near = crop.size.map((n, axis) => {
    const limitMm = (grid.size / 2 - EDGE) * grid.spacing_mm;
    return (place) => Math.abs(place - (n - 1) / 2) * spacingMm[axis] * crop.scale > limitMm;
  });
  const [rows, columns] = crop.size;
  for (let z = 0; z < slices; z++) {
    const rectangle = new Uint8Array(rows * columns);
    crop.cut(labels.subarray(z * height * width, (z + 1) * height * width), [height, width], rectangle);
    for (let at = 0; at < rectangle.length; at++)
      if (rectangle[at] && (near[0](Math.floor(at / columns)) || near[1](at % columns))) return true;
  }
  return false;
}
