// The RV in one slice too many at the base, as in ctct/measurement/rv_base.py and
// ctct/inference/stack_context.py; the model is the content of rv_base.json.

import { boundingBox, cutBox, product, range } from "./arrays.js";
import { LV, MYO, RV } from "./labels.js";
import { and, any, count, maskOf, slicesOf } from "./masks.js";
import { sum } from "./numbers.js";
import { BASE, APEX, regionOfSlices } from "./regions.js";
import { isOneStack, MIN_SLICES } from "./stack_flags.js";

const MIN_CHANCE = 0.6;
const MIN_CINE_FRAMES = 6;

/** Labels (T, Z, H, W) without the RV where it is atrium or outflow tract; of a cleaned label map. */
export function removeRvAboveBase(labels, voxels, shape, sliceSpacingMm, model) {
  const [frames, ...size] = shape;
  const [slices, height, width] = size;
  const box = boundingBox(labels, [height, width]);
  const ofFrame = (t) => labels.subarray(t * product(size), (t + 1) * product(size));
  const extra = range(frames).map((t) => findExtraSlice(...cutBox(ofFrame(t), size, box), model));
  if (extra.every((z) => z === null)) return labels;
  const ofSlice = (array, t, z) => array.subarray((t * slices + z) * height * width, (t * slices + z + 1) * height * width);
  const isWithout = (t, z) => extra[t] === z || !ofSlice(labels, t, z).includes(RV);
  const isSure = (t) => frames < MIN_CINE_FRAMES
    || isWithout((t + frames - 1) % frames, extra[t]) || isWithout((t + 1) % frames, extra[t]);
  const chosen = range(frames).filter((t) => extra[t] !== null && isSure(t));
  if (!isOneStack(voxels, shape, sliceSpacingMm)) return labels;
  const trimmed = labels.slice();
  for (const t of chosen) {
    const slice = ofSlice(trimmed, t, extra[t]);
    slice.forEach((label, at) => { if (label === RV) slice[at] = 0; });
  }
  return trimmed;
}

/** The number of the basal slice of a frame (Z, H, W) whose RV is none; null where there is none. */
export function findExtraSlice(frame, size, { intercept, weights }) {
  const found = baseIndicators(frame, size);
  if (!found) return null;
  const doubt = Object.entries(weights).reduce((all, [name, weight]) => all + weight * found.indicators[name], 0);
  return 1 / (1 + Math.exp(doubt - intercept)) < MIN_CHANCE ? found.z : null;
}

/** Number and indicators of the slice with RV that is nearest the base. */
function baseIndicators(frame, size) {
  const [muscle, blood] = [MYO, LV].map((s) => slicesOf(maskOf(frame, (label) => label === s), size).map(count));
  const wall = muscle.map((pixels, z) => pixels + blood[z]);
  const regions = regionOfSlices(wall).filter(Boolean);
  if (regions.length < MIN_SLICES) return null;
  const towardsApex = regions.indexOf(BASE) < regions.indexOf(APEX) ? 1 : -1;
  const rv = slicesOf(maskOf(frame, (label) => label === RV), size);
  const inside = range(size[0]).filter((z) => any(rv[z]));
  if (towardsApex < 0) inside.reverse();
  const [z, below] = inside;
  if (below !== z + towardsApex) return null;
  const indicators = {
    lost: 1 - count(and(rv[z], rv[below])) / count(rv[below]),
    wall: wall[z] / Math.max(...wall),
    muscle: sum(muscle) / sum(wall),
  };
  return { z, indicators };
}
