// Whether a stack covers one heart, once, from base to apex, as in ctct/measurement/coverage.py.

import { indexOfLargest } from "./components.js";
import { REJECT, REVIEW } from "./flags.js";
import { LV, MYO, RV } from "./labels.js";
import { hasPicture } from "./masks.js";
import { fixed, roundHalfEven, sum } from "./numbers.js";

const [MIN_ELONGATION, MAX_ELONGATION] = [0.45, 1.4];
const MAX_LENGTH_MM = 140;
const MAX_APEX_BEYOND = 0.68;
const [APEX_DIAMETERS, MAX_APEX_RV] = [0.15, 0.1];
const MAX_BASE_BEYOND = 0.5;
const MAX_MIDDLE = 1.02;
const MAX_STEP = 0.36;
const MAX_WAIST = 0.35;

/** Flags of a scan that shows a part of a heart, more than one, or slices out of order. */
export function coverageFlags(labels, voxels, [frames, slices, height, width], spacingMm, sliceSpacingMm) {
  const area = height * width;
  const counts = Array.from({ length: frames * slices }, (_, n) => {
    const found = [0, 0, 0, 0];
    for (const label of labels.subarray(n * area, (n + 1) * area)) found[label]++;
    return found;
  });
  const isPicture = hasPicture(voxels, area);
  const ofFrame = (t) => counts.slice(t * slices, (t + 1) * slices);
  const volumes = Array.from({ length: frames }, (_, t) => ofFrame(t).reduce((total, found) => total + found[LV], 0));
  const isAcquired = Array.from({ length: slices }, (_, z) => isPicture.some((is, n) => is && n % slices === z));
  const start = isAcquired.indexOf(true);
  if (start < 0) return [];
  const stack = ofFrame(indexOfLargest(volumes)).slice(start, isAcquired.lastIndexOf(true) + 1);
  const found = measureCoverage(stack, spacingMm, sliceSpacingMm);
  if (!found) return [];
  const more = moreThanOne(found, start, sliceSpacingMm);
  return more.length ? more : lessThanOne(found, start, sliceSpacingMm);
}

/** The area of the LV and its wall along a stack of label counts; null without a ventricle. */
function measureCoverage(stack, spacingMm, sliceSpacingMm) {
  const areas = stack.map((found) => found[LV] + found[MYO]);
  const inside = areas.flatMap((area, z) => (area ? [z] : []));
  if (!inside.length) return null;
  const [first, last, largest] = [inside[0], inside.at(-1), Math.max(...areas)];
  const center = sum(areas.map((area, z) => z * area)) / sum(areas);
  const diameterMm = 2 * Math.sqrt((largest * spacingMm[0] * spacingMm[1]) / Math.PI);
  const share = areas.map((area) => area / largest);
  const rv = stack.map((found) => found[RV] / largest);
  const fromBase = center <= (first + last) / 2 ? share : share.toReversed();
  const diameter = diameterMm / sliceSpacingMm; // in slices
  const ends = [[share, rv], [share.toReversed(), rv.toReversed()]].map((pair) =>
    areaAtEnd(...pair, APEX_DIAMETERS * diameter));
  const inner = share.slice(first, last).map((value, n) => Math.abs(share[first + n + 1] - value)).slice(2, -2);
  const waists = share.map((value, z) =>
    Math.min(Math.max(...share.slice(0, z + 1)), Math.max(...share.slice(z))) - value);
  const hasEnds = inside.length >= 3;
  return {
    lengthMm: (last + 1 - first) * sliceSpacingMm,
    diameterMm,
    elongation: (sum(share) * sliceSpacingMm) / diameterMm,
    apexBeyond: hasEnds ? Math.min(...ends) : NaN,
    baseBeyond: hasEnds ? fromBase[0] - interpolate(diameter / 2, fromBase) : NaN,
    step: inner.length ? Math.max(...inner) : NaN,
    stepAt: first + 2 + (inner.length ? indexOfLargest(inner) : 0),
    waist: Math.max(...waists),
    waistAt: indexOfLargest(waists),
  };
}

/** Area near the first end of a ventricle, or 0 at an apex that a slice without it follows on. */
function areaAtEnd(share, rv, depth) {
  const end = share.findIndex(Boolean);
  const [near, nearRv] = [share, rv].map((areas) => (areas[end] + interpolate(end + depth, areas)) / 2);
  return end > 0 && nearRv < MAX_APEX_RV ? 0 : near;
}

/** The value at a place between two indices; beyond the ends, that of the end. */
function interpolate(at, values) {
  if (!(at < values.length - 1)) return Number.isNaN(at) ? NaN : values.at(-1);
  const low = Math.floor(at);
  return values[low] + (at - low) * (values[low + 1] - values[low]);
}

function moreThanOne(found, start, sliceSpacingMm) {
  const flags = [];
  if (found.elongation > MAX_ELONGATION || found.lengthMm > MAX_LENGTH_MM)
    flags.push({
      level: REJECT,
      reason: `${describeSize(found)}: the stack holds more than one heart, or slices twice, or the slice spacing of `
        + `${fixed(sliceSpacingMm, 1)} mm is wrong`,
    });
  if (found.waist > MAX_WAIST)
    flags.push({
      level: REVIEW,
      reason: `the LV narrows towards slice ${found.waistAt + start} (from 0) and widens again: the stack holds more `
        + "than one heart, or slices are out of order",
    });
  return flags;
}

function lessThanOne(found, start, sliceSpacingMm) {
  const lacksApex = found.apexBeyond > MAX_APEX_BEYOND, lacksBase = found.baseBeyond > MAX_BASE_BEYOND;
  const z = found.stepAt + start;
  const isShort = found.elongation < MIN_ELONGATION;
  const middle = found.apexBeyond + 0.7 * Math.max(found.baseBeyond, 0) + 0.15 / found.elongation;
  const checks = [
    [lacksApex, "the stack ends before the apex"],
    [lacksBase, "the LV still widens where the stack ends, so the stack ends before the base"],
    [isShort && !lacksApex && !lacksBase, `${describeSize(found)}: slices are missing or not `
      + `labelled, or the slice spacing of ${fixed(sliceSpacingMm, 1)} mm is wrong`],
    [middle > MAX_MIDDLE && !isShort && !lacksApex && !lacksBase, "the LV is wide at both ends of the stack, and short: "
      + "slices at apex and base seem to be missing"],
    [found.step > MAX_STEP, `the LV changes abruptly between slices ${z} and ${z + 1} (from 0): slices seem to be `
      + "missing there, or out of order"],
  ];
  return checks.flatMap(([present, reason]) => (present ? [{ level: REVIEW, reason }] : []));
}

const describeSize = ({ lengthMm, diameterMm }) =>
  `the LV with its wall is ${roundHalfEven(lengthMm)} mm long and ${roundHalfEven(diameterMm)} mm wide`;
