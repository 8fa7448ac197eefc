// Whether slices and frames are what their axes say they are, as in ctct/measurement/stack_flags.py.

import { range } from "./arrays.js";
import { REJECT, REVIEW, nameSlices } from "./flags.js";
import { LV } from "./labels.js";
import { fixed, mean, median, quantile } from "./numbers.js";

export const MIN_SLICES = 5;
const MAX_HEIGHT_MM = 220;
const [MIN_APART_MM, PHASE_LIKENESS, SHARE] = [4.9, 0.955, 0.4];
/** Two slices that are this much alike are one slice. */
const SAME_SLICE = 0.97;
const MIN_FRAME_LIKENESS = 0.5;
const MIN_FRAMES = 6;
const MIN_MOTION = 0.1;
const MIN_TOGETHER = 0.5;
const MIN_ORDERED = 8;
const MIN_ALIKE = 0.3;
const MIN_IN_ORDER = 0.6;
const SIDE = 64;
const REMEDY = "save it with the axes column, row, slice, frame";

/** Flags of a scan with few slices, with slices like phases, or with frames like slices. */
export function stackFlags(voxels, shape, sliceSpacingMm) {
  const [frames, slices] = shape;
  const pictures = coarsen(voxels, shape);
  const first = pictures.slice(0, slices);
  const heightMm = (slices - 1) * sliceSpacingMm;
  const reasons = [];
  if (hasPhasesAsSlices(first, sliceSpacingMm))
    reasons.push("this looks like a time series saved as slices, which are as alike as the phases of "
      + `one slice: ${REMEDY}`);
  else if (heightMm > MAX_HEIGHT_MM)
    reasons.push(`the stack is ${fixed(heightMm, 0)} mm tall, more than any heart: this looks like a time `
      + `series saved as slices, then ${REMEDY}; or it shows more than the heart, then leave `
      + "out the other slices");
  if (!hasFramesOfOneBeat(pictures, frames, slices))
    reasons.push("the frames are less alike than those of one heartbeat: frames of several patients, slices saved "
      + "as frames, or images of several kinds");
  const flags = reasons.map((reason) => ({ level: REJECT, reason }));
  const review = (reason) => flags.push({ level: REVIEW, reason });
  const copies = countCopies(voxels, shape);
  if (copies) {
    const shown = copies === 1 ? "1 image is an exact copy of another" : `${copies} images are exact copies of others`;
    review(`${shown}, so phases or slices stand in place of those that were acquired; export the scan again`);
  }
  if (!reasons.length && !isInOrder(first))
    review("most slices are more alike to others than to their neighbors, so they are hardly in order "
      + "from base to apex; save them in order");
  const pairs = !reasons.length && !copies ? findRepeated(first, sliceSpacingMm) : [];
  if (pairs.length)
    review(`slices ${pairs.map((pair) => pair.join(" and ")).join(", ")} (from 0) are as alike as images of one slice, `
      + "so one may stand for another, or be there twice; export the scan again");
  const empty = findEmpty(voxels, shape);
  if (empty.length)
    review(`${nameSlices(empty)} ${empty.length > 1 ? "hold" : "holds"} no picture in all or some frames, `
      + "as if the phases had different numbers of slices; export the scan again");
  if (slices < MIN_SLICES) {
    const shown = slices === 1 ? "a single slice" : `a stack of ${slices} slices`;
    review(`${shown} does not cover a heart, so volumes are too small`);
  }
  return flags;
}

/** A flag of a cine whose slices do not beat together. */
export function timingFlags(labels, [frames, slices, height, width]) {
  if (frames < MIN_FRAMES) return [];
  const area = height * width;
  const areas = range(frames).map((t) => range(slices).map((z) => {
    const at = (t * slices + z) * area;
    return labels.subarray(at, at + area).reduce((n, label) => n + (label === LV), 0);
  }));
  const inside = range(slices).filter((z) => areas.some((frame) => frame[z])).slice(2, -2);
  const others = areas.map((frame) => frame.reduce((a, b) => a + b));
  const outOfStep = inside.filter((z) => {
    const own = areas.map((frame) => frame[z]);
    const isMoving = Math.max(...own) - Math.min(...own) >= MIN_MOTION * mean(own);
    const rest = others.map((total, t) => total - own[t]);
    if (!isMoving || rest.every((value) => value === rest[0])) return false;
    return correlate([own, rest].map(normalize))[0][1] < MIN_TOGETHER;
  });
  if (!outOfStep.length) return [];
  const reason = `the LV in ${nameSlices(outOfStep)} does not beat with the other slices: `
    + "phases may be out of order or of another beat, so look at the cine";
  return [{ level: REVIEW, reason }];
}

/** Whether the slices lie in order, as the first frame shows. */
export function isOneStack(voxels, [, slices, height, width], sliceSpacingMm) {
  const first = coarsen(voxels.subarray(0, slices * height * width), [1, slices, height, width]);
  return !hasPhasesAsSlices(first, sliceSpacingMm) && isInOrder(first);
}

function hasPhasesAsSlices(stack, sliceSpacingMm) {
  const likeness = correlate(stack);
  return range(stack.length).slice(1).some((lag) => {
    const pairs = range(stack.length - lag).map((z) => likeness[z][z + lag]);
    return lag * sliceSpacingMm >= MIN_APART_MM && quantile(pairs, 1 - SHARE) >= PHASE_LIKENESS;
  });
}

/** Numbers of any two slices of one frame that show the same. */
function findRepeated(stack, sliceSpacingMm) {
  const likeness = correlate(stack);
  return range(stack.length).flatMap((a) => range(stack.length).filter((b) => b > a
    && likeness[a][b] >= SAME_SLICE && (b - a) * sliceSpacingMm >= MIN_APART_MM).map((b) => [a, b]));
}

/** Numbers of the slices without a picture in some frame, but for the outermost that have none in any. */
function findEmpty(voxels, [frames, slices, height, width]) {
  const area = height * width;
  const isPicture = range(frames * slices).map((n) => {
    const image = voxels.subarray(n * area, (n + 1) * area);
    return image.some((value) => value !== image[0]);
  });
  const inFrames = range(slices).map((z) => isPicture.filter((is, n) => is && n % slices === z).length);
  const [first, last] = [inFrames.findIndex(Boolean), inFrames.findLastIndex(Boolean)];
  return range(slices).filter((z) => first <= z && z <= last && inFrames[z] < frames);
}

/** Images that equal another one, pixel for pixel; no empty ones. */
function countCopies(voxels, [frames, slices, height, width]) {
  const area = height * width;
  const byHash = new Map();
  let copies = 0;
  for (let n = 0; n < frames * slices; n++) {
    const image = voxels.subarray(n * area, (n + 1) * area);
    if (image.every((value) => value === image[0])) continue;
    let hash = 2166136261;
    for (const bits of new Int32Array(image.buffer, image.byteOffset, area))
      hash = Math.imul(hash ^ bits, 16777619) ^ (bits >>> 15);
    const alike = byHash.get(hash) ?? [];
    if (alike.some((other) => other.every((value, at) => value === image[at]))) copies++;
    byHash.set(hash, [...alike, image]);
  }
  return copies;
}

function isInOrder(stack) {
  if (stack.length < MIN_ORDERED) return true;
  const likeness = correlate(stack);
  likeness.forEach((row, z) => { row[z] = -Infinity; });
  if (median(likeness.map((row) => Math.max(...row))) < MIN_ALIKE) return true;
  const nearest = likeness.map((row) => row.indexOf(Math.max(...row)));
  return mean(nearest.map((other, z) => Number(Math.abs(other - z) === 1))) >= MIN_IN_ORDER;
}

function hasFramesOfOneBeat(pictures, frames, slices) {
  const lowest = range(slices).flatMap((z) => {
    const phases = range(frames).map((t) => pictures[t * slices + z]);
    if (!phases.some((phase) => phase.isFilled)) return [];
    return [Math.min(...phases.map((phase) => dot(phases[0].values, phase.values)))];
  });
  return !lowest.length || median(lowest) >= MIN_FRAME_LIKENESS;
}

/** Means of blocks of pixels of each image, normalized. */
function coarsen(voxels, [frames, slices, height, width]) {
  const size = Math.max(1, Math.floor(Math.min(height, width) / SIDE));
  const rows = Math.floor(height / size), columns = Math.floor(width / size);
  return range(frames * slices).map((n) => {
    const means = new Float64Array(rows * columns);
    for (let y = 0; y < rows * size; y++)
      for (let x = 0; x < columns * size; x++)
        means[Math.floor(y / size) * columns + Math.floor(x / size)] += voxels[(n * height + y) * width + x];
    return normalize(means.map((total) => Math.fround(total / size ** 2)));
  });
}

/** Values around 0 with a norm of 1; 0 where they are all the same. */
function normalize(values) {
  const middle = mean(values);
  const centered = Array.from(values, (value) => value - middle);
  const norm = Math.sqrt(dot(centered, centered));
  return { values: centered.map((value) => value / (norm || 1)), isFilled: values.some(Boolean) };
}

const dot = (a, b) => {
  let total = 0;
  for (let n = 0; n < a.length; n++) total += a[n] * b[n];
  return total;
};

const correlate = (pictures) => pictures.map((a) => pictures.map((b) => dot(a.values, b.values)));
