// The Dice that each structure probably has, as in ctct/measurement/predicted_dice.py; the models
// are the content of predicted_dice.json.

import { LV, MYO, NAMES, RV, STRUCTURES } from "./labels.js";
import { and, any, count, or, slicesOf, visitSides } from "./masks.js";
import { fixed, sum } from "./numbers.js";

const INDICATORS = {
  [RV]: ["doubt", "edge", "voxels", "beyond", "lack"],
  [MYO]: ["doubt", "open ring"],
  [LV]: ["doubt", "open ring", "voxels"],
};
const [MIN_DOUBT, MAX_BEYOND, MIN_REASON] = [1e-3, 4, 0.3];
const TERMS = {
  doubt: (share) => Math.log(Math.max(share, MIN_DOUBT)),
  edge: (share) => Math.log(Math.max(share, MIN_DOUBT)),
  voxels: (number) => -Math.log(number),
  beyond: (slices) => Math.min(slices, MAX_BEYOND),
  lack: (share) => share,
  "open ring": (share) => share,
};

/** Indicators of each structure that has a voxel. */
export function structureIndicators(mask, disagreement, size, total, openRing, isPicture) {
  const wall = or(mask[MYO], mask[LV]);
  const background = or(wall, mask[RV]).map((value) => value ^ 1);
  const beside = (part) => {
    const found = new Uint8Array(part.length);
    visitSides(part, size, (_, at) => {
      if (at >= 0) found[at] = 1;
    });
    return found;
  };
  const sumIn = (part) => disagreement.reduce((all, value, at) => (part[at] ? all + value : all), 0);
  const ofWall = sumIn(or(wall, and(background, beside(wall))));
  const edge = sumIn(and(background, beside(mask[RV])));
  const [beyond, lack] = findExtent(wall, mask[RV], size, isPicture);
  const found = {};
  for (const structure of STRUCTURES) {
    const voxels = count(mask[structure]);
    if (!voxels) continue;
    const values = {
      doubt: (structure === RV ? total - ofWall : total) / voxels,
      edge: edge / voxels,
      voxels,
      beyond,
      lack,
      "open ring": Number.isFinite(openRing) ? openRing : 0,
    };
    found[structure] = Object.fromEntries(INDICATORS[structure].map((name) => [name, values[name]]));
  }
  return found;
}

/** Slices with a picture beyond the RV's basal end, and share of the LV and its wall without RV. */
function findExtent(wall, rv, size, isPicture) {
  const area = slicesOf(wall, size).map(count), hasRv = slicesOf(rv, size).map(any);
  const inside = area.flatMap((pixels, z) => (pixels ? [z] : []));
  if (!inside.length || !hasRv.includes(true)) return [0, inside.length ? 1 : 0];
  const center = sum(area.map((pixels, z) => z * pixels)) / sum(area);
  const isBaseFirst = center <= (inside[0] + inside.at(-1)) / 2;
  const beyond = isBaseFirst ? isPicture.slice(0, hasRv.indexOf(true)) : isPicture.slice(hasRv.lastIndexOf(true) + 1);
  return [beyond.filter(Boolean).length, sum(area.filter((_, z) => !hasRv[z])) / sum(area)];
}

/** Structure to the Dice that it probably has, 0 without a voxel; by the model of each. */
export const predictDice = (indicators, models) => Object.fromEntries(STRUCTURES.map((s) => {
  if (!indicators[s]) return [s, 0];
  const { intercept, weights } = models[NAMES[s]];
  const total = Object.entries(weights).reduce((all, [name, weight]) =>
    all + weight * TERMS[name](indicators[s][name]), 0);
  return [s, 1 / (1 + Math.exp(total - intercept))];
}));

/** Why the predicted Dice of a structure is low, in words. */
export function explainDice(structure, indicators, models) {
  const { weights, typical } = models[NAMES[structure]];
  const { beyond, lack, "open ring": ring } = indicators;
  const words = {
    doubt: "the networks disagree about it",
    edge: "its outline is in dispute",
    voxels: "it is small",
    beyond: `it is missing in the ${beyond === 1 ? "slice" : `${beyond} slices`} at the base`,
    lack: `${fixed(100 * lack, 0)} % of the LV and its wall lies in slices without it`,
    "open ring": `${fixed(100 * ring, 0)} % of the LV's outline has no muscle beside it`,
  };
  const lost = Object.entries(weights)
    .map(([name, weight]) => [name, weight * (TERMS[name](indicators[name]) - TERMS[name](typical[name]))])
    .sort((a, b) => b[1] - a[1]);
  const reasons = lost.filter(([, loss]) => loss >= MIN_REASON);
  return (reasons.length ? reasons : lost.slice(0, 1)).map(([name]) => words[name]).join(", ");
}
