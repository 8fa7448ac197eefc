// Whether the frames of a scan show one heart, and its slices contract, as in ctct/measurement/motion_flags.py.

import { boundingBox, cutBox, range } from "./arrays.js";
import { REVIEW, nameSlices } from "./flags.js";
import { LV, MYO, NAMES, RV } from "./labels.js";
import { fixed } from "./numbers.js";

const MAX_GROWTH = 0.12;
const MIN_OVERLAP = 0.7;
const MIN_WALL_DICE = 0.5;
const MAX_SHIFT_MM = 15;
const [MIN_MUSCLE, MAX_MUSCLE] = [0.7, 1.65];
const MAX_TURN_DEG = 45;
const MAX_NAMED = 5;

/** Flags of a cine whose frames hardly show one heart, or one that contracts. */
export function motionFlags(allLabels, [frames, slices, ...plane], ed, es, spacingMm) {
  if (ed === null || ed === es) return [];
  const [labels, [, height, width]] = cutBox(allLabels, [frames * slices, ...plane], boundingBox(allLabels, plane));
  const length = slices * height * width;
  const ofFrame = (t) => labels.subarray(t * length, (t + 1) * length);
  const size = [height, width];
  const found = range(frames).map((t) => compareHearts(ofFrame(ed), ofFrame(t), size, spacingMm));
  const others = range(frames).filter((t) => found[t].length);
  const reasons = [];
  if (others.length) {
    const first = others.includes(es) ? es : others[0];
    const shown = others.slice(0, MAX_NAMED).join(", ") + (others.length > MAX_NAMED ? ", …" : "");
    const which = first === es ? "ED and ES hardly show one heart"
      : `frames ${shown} (from 0) hardly show the heart of the ED frame`;
    reasons.push(`${which}: ${found[first].join(" and ")}; check that all are of one patient and one scan`);
  }
  const areaIn = (frame, structure, z) =>
    count(frame.subarray(z * height * width, (z + 1) * height * width), (label) => label === structure);
  for (const structure of [LV, RV]) {
    const areas = [ed, es].map((t) => range(slices).map((z) => areaIn(ofFrame(t), structure, z)));
    const largest = Math.max(...areas[0]);
    if (!largest) continue;
    const growth = areas[0].map((area, z) => (areas[1][z] - area) / largest);
    const grown = range(slices).filter((z) => growth[z] > MAX_GROWTH);
    if (!grown.length) continue;
    const name = NAMES[structure];
    reasons.push(`the ${name} is larger at ES than at ED in ${nameSlices(grown)}, by up to `
      + `${fixed(100 * Math.max(...growth), 0)} % of its largest area: at the base an atrium, or the outflow tract, `
      + `may be labelled as ${name}`);
  }
  return reasons.map((reason) => ({ level: REVIEW, reason }));
}

/** How two label maps (Z, H, W) differ that one heart never does; empty where one has no LV. */
function compareHearts(one, other, size, spacingMm) {
  const both = [one, other];
  const [isLv, isMuscle, isRv] = [LV, MYO, RV].map((structure) => (label) => label === structure);
  const isWall = (label) => isLv(label) || isMuscle(label);
  const sizes = both.map((frame) => count(frame, isLv));
  if (!sizes.every(Boolean)) return [];
  const common = (is) => count(one, (label, at) => is(label) && is(other[at]));
  const differences = [];
  const overlap = common(isLv) / Math.min(...sizes);
  if (overlap < MIN_OVERLAP)
    differences.push(`of the smaller LV, ${fixed(100 * overlap, 0)} % lie within the other one`);
  const dice = (2 * common(isWall)) / (count(one, isWall) + count(other, isWall));
  if (dice < MIN_WALL_DICE) differences.push(`the LV with its wall has a Dice of ${fixed(dice, 2)}`);
  const centers = both.map((frame) => centerMm(frame, isLv, size, spacingMm));
  const shiftMm = Math.hypot(centers[1][0] - centers[0][0], centers[1][1] - centers[0][1]);
  if (shiftMm > MAX_SHIFT_MM) differences.push(`the LV lies ${fixed(shiftMm, 0)} mm away`);
  const muscles = both.map((frame) => count(frame, isMuscle));
  const muscle = muscles.every(Boolean) ? muscles[1] / muscles[0] : 1;
  if (muscle < MIN_MUSCLE || muscle > MAX_MUSCLE)
    differences.push(`the myocardium has ${fixed(100 * muscle, 0)} % of its volume`);
  if (both.every((frame) => frame.some(isRv))) {
    const angles = both.map((frame, n) => {
      const rv = centerMm(frame, isRv, size, spacingMm);
      return (Math.atan2(rv[0] - centers[n][0], rv[1] - centers[n][1]) * 180) / Math.PI;
    });
    const turned = Math.abs(angles[1] - angles[0]);
    const turn = Math.min(turned, 360 - turned);
    if (turn > MAX_TURN_DEG) differences.push(`the RV lies in another direction, turned by ${fixed(turn, 0)}°`);
  }
  return differences;
}

function centerMm(frame, is, [height, width], spacingMm) {
  let [rows, columns, total] = [0, 0, 0];
  frame.forEach((label, at) => {
    if (!is(label)) return;
    rows += Math.floor(at / width) % height;
    columns += at % width;
    total++;
  });
  return [(rows / total) * spacingMm[0], (columns / total) * spacingMm[1]];
}

const count = (values, is) => values.reduce((n, value, at) => n + is(value, at), 0);
