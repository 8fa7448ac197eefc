// Quality indicators of a frame, as in ctct/measurement/quality_indicators.py.

import { boundingBox, cutBox } from "./arrays.js";
import { LV, MYO, RV, STRUCTURES } from "./labels.js";
import { any, count, countSides, hasPicture, maskOf, or, slicesOf, visitSides } from "./masks.js";
import { mean } from "./numbers.js";
import { predictDice, structureIndicators } from "./predicted_dice.js";

const WORST = 10;
const MIN_RING = 0.1;

/** Indicators of a frame: image, labels after clean-up and disagreement, each (Z, H, W). */
export function frameIndicators(image, labels, disagreement, size, removed, diceModels) {
  const total = disagreement.reduce((a, b) => a + b, 0);
  const box = boundingBox(labels, size.slice(1), 1);
  const atRim = rimOf(size, box);
  const [cutImage, cutLabels, cutDisagreement] = [image, labels, disagreement].map((array) => cutBox(array, size, box)[0]);
  const boxSize = [size[0], box.rows[1] - box.rows[0], box.columns[1] - box.columns[0]];
  const mask = { [RV]: null, [MYO]: null, [LV]: null };
  for (const s of STRUCTURES) mask[s] = maskOf(cutLabels, (label) => label === s);
  const wall = or(mask[MYO], mask[LV]);
  const areas = slicesOf(wall, boxSize).map(count);
  const inside = areas.flatMap((area, z) => (area ? [z] : []));
  const core = inside.length > 2 ? [inside[0] + 1, inside.at(-1)] : [0, size[0]];
  const area = boxSize[1] * boxSize[2];
  const ofCore = (array) => array.subarray(core[0] * area, core[1] * area);
  const coreSize = [core[1] - core[0], ...boxSize.slice(1)];
  const foreground = maskOf(cutLabels, Boolean);
  const labelled = count(foreground);
  const lvSlices = slicesOf(mask[LV], boxSize), myoSlices = slicesOf(mask[MYO], boxSize);
  const gaps = [findGaps(areas.map(Boolean)), findGaps(lvSlices.map(any))];
  const oneSlice = [1, ...boxSize.slice(1)];
  const ringless = lvSlices.reduce((n, blood, z) =>
    n + (shareAgainst(blood, myoSlices[z], oneSlice) < MIN_RING ? count(blood) : 0), 0);
  const sides = countSides(mask[MYO], boxSize);
  const openRing = 1 - shareAgainst(ofCore(mask[LV]), ofCore(mask[MYO]), coreSize);
  const relativeDisagreement = total / Math.max(labelled, 1);
  const isPicture = hasPicture(image, size[1] * size[2]);
  const byStructure = structureIndicators(mask, cutDisagreement, boxSize, total, openRing, isPicture);
  return {
    missing: STRUCTURES.filter((s) => !any(mask[s])),
    openRing,
    gaps: gaps[0].filter((gap, z) => gap || gaps[1][z]).length,
    scattered: ratio(removed, labelled + removed),
    swapped: any(mask[RV]) && any(mask[LV])
      && shareAgainst(mask[RV], mask[MYO], boxSize) > shareAgainst(mask[LV], mask[MYO], boxSize),
    cutOff: shareAtEdge(foreground, atRim, boxSize),
    relativeDisagreement,
    contrast: findContrast(cutImage, mask[LV], mask[MYO]),
    hollow: ratio(sides.reduce((n, s, at) => n + (s === 4 && !wall[at]), 0), count(mask[LV])),
    ringless: ratio(ringless, count(mask[LV])),
    score: scoreOf(relativeDisagreement, openRing),
    byStructure,
    predictedDice: predictDice(byStructure, diceModels),
  };
}

function scoreOf(relativeDisagreement, openRing) {
  const total = relativeDisagreement + 2 * (Number.isFinite(openRing) ? openRing : 0);
  return Number.isFinite(total) ? Math.min(total, WORST) : NaN;
}

const ratio = (part, whole) => (whole ? part / whole : NaN);

/** Whether a pixel of the box lies on the rim of the image. */
function rimOf([, height, width], { rows, columns }) {
  const boxWidth = columns[1] - columns[0];
  return (at) => {
    const row = rows[0] + Math.floor(at / boxWidth), column = columns[0] + (at % boxWidth);
    return row === 0 || column === 0 || row === height - 1 || column === width - 1;
  };
}

/** Share of the pixel edges on the outline of `inner` that border `outer`; NaN without an outline. */
function shareAgainst(inner, outer, size) {
  let [edges, touching] = [0, 0];
  visitSides(inner, size, (_, beside) => {
    if (beside >= 0 && inner[beside]) return;
    edges++;
    if (beside >= 0) touching += outer[beside];
  });
  return ratio(touching, edges);
}

const findGaps = (present) => present.map((here, z) =>
  !here && present.slice(0, z).includes(true) && present.slice(z).includes(true));

function shareAtEdge(mask, atRim, size) {
  const outline = new Uint8Array(mask.length);
  visitSides(mask, size, (at, beside) => {
    if (beside < 0 || !mask[beside]) outline[at] = 1;
  });
  const area = size[1] * size[2];
  return ratio(outline.reduce((n, edge, at) => n + (edge && atRim(at % area) ? 1 : 0), 0), count(outline));
}

function valuesIn(image, mask) {
  const values = new Float64Array(count(mask));
  for (let at = 0, n = 0; at < mask.length; at++) if (mask[at]) values[n++] = image[at];
  return values;
}

function findContrast(image, blood, muscle) {
  if (!any(blood) || !any(muscle)) return NaN;
  const [a, b] = [valuesIn(image, blood), valuesIn(image, muscle)];
  const variance = (values) => {
    const middle = mean(values);
    return mean(values.map((value) => (value - middle) ** 2));
  };
  const spread = Math.sqrt((variance(a) + variance(b)) / 2);
  return spread ? (mean(a) - mean(b)) / spread : NaN;
}
