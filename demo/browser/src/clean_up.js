// Cleaning up label maps, as in ctct/inference/clean_up.py.

import { boundingBox, cutBox, pasteBox, product } from "./arrays.js";
import { findComponents, findHeart, IN_PLANE } from "./components.js";
import { LV, MYO, RV } from "./labels.js";
import { and, any, count, countSides, maskOf, MIN_SIDES, or, slicesOf, without } from "./masks.js";
import { APEX, regionOfSlices } from "./regions.js";

const MAX_POCKET = 0.25;

/** Labels (T, Z, H, W) of the heart alone, its ring filled, and the changed voxels of each frame. */
export function cleanUp(labels, [frames, slices, height, width]) {
  const cleaned = new Uint8Array(labels.length);
  const size = [slices, height, width];
  const box = boundingBox(labels, [height, width]);
  const removed = [];
  for (let t = 0; t < frames; t++) {
    const span = [t * product(size), (t + 1) * product(size)];
    const [frame, boxSize] = cutBox(labels.subarray(...span), size, box);
    const out = cleanFrame(frame, boxSize);
    pasteBox(out, cleaned.subarray(...span), size, box);
    removed.push(out.reduce((total, label, n) => total + (label !== frame[n]), 0));
  }
  return { labels: cleaned, removed };
}

function cleanFrame(frame, size) {
  const { rv, wall } = findHeart(frame, size);
  const [muscle, blood] = [MYO, LV].map((s) => and(wall, maskOf(frame, (label) => label === s)));
  const [main, others] = piecesWithin(muscle, rv, blood, size);
  const axis = new Axis(main, wall, size);
  let lv = main;
  for (const piece of others)
    if (axis.passes(piece) && isPocket(piece, main, size)) lv = or(lv, piece);
  const out = new Uint8Array(frame.length);
  for (const [structure, mask] of [[RV, rv], [MYO, muscle], [LV, lv]])
    mask.forEach((inside, n) => { if (inside) out[n] = structure; });
  const lost = slicesOf(without(blood, lv), size);
  slicesOf(out, size).forEach((slice, z) => fillRing(slice, lost[z], axis, size));
  removeBelowApex(slicesOf(out, size));
  return out;
}

/** The long axis of the LV, taken as perpendicular to the slices. */
class Axis {
  constructor(main, wall, size) {
    [this.height, this.width] = size.slice(1);
    this.center = [0, 0];
    this.radius = Infinity;
    if (!any(main)) return;
    const walls = slicesOf(wall, size);
    const areas = slicesOf(main, size).flatMap((slice, z) => (any(slice) ? [count(walls[z])] : []));
    this.center = this._center(main);
    this.radius = Math.sqrt(areas.reduce((a, b) => a + b) / areas.length / Math.PI);
  }

  /** Whether the center of a mask lies within the radius. */
  passes(mask) {
    const [row, column] = this._center(mask);
    const [down, along] = [row - this.center[0], column - this.center[1]];
    return Math.sqrt(down * down + along * along) <= this.radius;
  }

  _center(mask) {
    let [rows, columns, total] = [0, 0, 0];
    mask.forEach((inside, at) => {
      if (!inside) return;
      rows += Math.floor(at / this.width) % this.height;
      columns += at % this.width;
      total++;
    });
    return [rows / total, columns / total];
  }
}

/** The main component of the blood, and the others that lie mostly within the ring. */
function piecesWithin(muscle, rv, blood, size) {
  const { numbers, sizes } = findComponents(blood, size);
  if (sizes.length <= 2) return [blood, []];
  const byMuscle = countSides(muscle, size), byRv = countSides(rv, size);
  const inside = sizes.map(() => 0);
  numbers.forEach((number, at) => {
    if (number && byMuscle[at] >= MIN_SIDES && byRv[at] < MIN_SIDES) inside[number]++;
  });
  let main = 1;
  for (let n = 2; n < sizes.length; n++)
    if (inside[n] > inside[main] || (inside[n] === inside[main] && sizes[n] >= sizes[main])) main = n;
  const piece = (n) => maskOf(numbers, (number) => number === n);
  const others = sizes.flatMap((total, n) => (2 * inside[n] > total && n !== main ? [piece(n)] : []));
  return [piece(main), others];
}

/** Whether a piece is small beside the main one, in the slices that hold both. */
function isPocket(piece, main, size) {
  const cavities = slicesOf(main, size);
  let [beside, cavity] = [0, 0];
  slicesOf(piece, size).forEach((slice, z) => {
    if (!any(slice) || !any(cavities[z])) return;
    beside += count(slice);
    cavity += count(cavities[z]);
  });
  return beside <= MAX_POCKET * cavity;
}

/** Fill the holes that the myocardium encloses in a slice, in place. */
function fillRing(slice, lost, axis, [, height, width]) {
  const holes = findHoles(maskOf(slice, (label) => label === MYO), height, width);
  for (const hole of holes.sort((a, b) => count(b) - count(a))) {
    const within = (structure) => slice.reduce((n, label, at) => n + (hole[at] && label === structure), 0);
    const isLv = within(LV), isRv = within(RV);
    const cavity = slice.reduce((n, label) => n + (label === LV), 0);
    if (isRv > isLv || any(and(hole, lost))) continue;
    const size = count(hole);
    let fill = 0;
    if (isLv || (size > cavity && axis.passes(hole))) fill = LV;
    else if (size <= MAX_POCKET * cavity) fill = MYO;
    if (fill) hole.forEach((inside, at) => { if (inside) slice[at] = fill; });
  }
}

/** The holes of a mask (H, W): a gap at a corner does not open them, one at the edge does. */
function findHoles(mask, height, width) {
  const padded = [1, height + 2, width + 2];
  const outside = new Uint8Array(product(padded)).fill(1);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) outside[(y + 1) * padded[2] + x + 1] = mask[y * width + x] ^ 1;
  const { numbers, sizes } = findComponents(outside, padded, IN_PLANE);
  return sizes.slice(2).map((_, n) => {  // the first component begins at the corner
    const hole = new Uint8Array(mask.length);
    for (let at = 0; at < hole.length; at++)
      hole[at] = numbers[(Math.floor(at / width) + 1) * padded[2] + (at % width) + 1] === n + 2;
    return hole;
  });
}

/** Remove LV beyond the last slice with myocardium at the apex, in place. */
function removeBelowApex(stack) {
  const withMuscle = stack.flatMap((slice, z) => (slice.includes(MYO) ? [z] : []));
  const areas = withMuscle.map((z) => stack[z].reduce((n, label) => n + (label === MYO || label === LV), 0));
  const regions = regionOfSlices(areas);
  if (!regions.includes(APEX)) return;
  const beyond = regions[0] === APEX ? stack.slice(0, withMuscle[0]) : stack.slice(withMuscle.at(-1) + 1);
  for (const slice of beyond) slice.forEach((label, at) => { if (label === LV) slice[at] = 0; });
}
