// From indicators to reasons and one verdict, as in ctct/measurement/quality_flags.py.

import { LV, MYO, NAMES, RV, STRUCTURES } from "./labels.js";
import { fixed, general } from "./numbers.js";
import { explainDice } from "./predicted_dice.js";

export const VERDICTS = ["ok", "review", "reject"];
export const [OK, REVIEW, REJECT] = VERDICTS;

const [SCORE_REVIEW, SCORE_REJECT] = [0.4, 1];
const [DICE_REVIEW, DICE_REJECT] = [0.8, 0.5];
const PLAUSIBLE = {
  "LVEDV (mL)": [30, 500],
  "RVEDV (mL)": [30, 500],
  "LVM (g)": [25, 450],
  "LVEF (%)": [5, 90],
  "RVEF (%)": [5, 90],
  "LVSV/RVSV": [0.6, 1.7],
};
const PLAUSIBLE_ML = [[LV, 2, 500], [RV, 2, 500], [MYO, 5, 430]];
const MAX_ML = 1000;
const MAX_RATIO = 10;
const [SPACING_MM, SLICE_MM, MIN_FOV_MM] = [[0.65, 2], [4.5, 11], 200];

const review = (reason) => ({ level: REVIEW, reason });
const percent = (share, limit) => `${showApart(100 * share, 100 * limit, 0)} %`;

/** A number with so many decimals, or more where it would be shown like the limit it passed. */
export function showApart(value, limit, decimals) {
  let shown = fixed(value, decimals);
  for (let more = 1; more < 4 && Number(shown) === limit; more++) shown = fixed(value, decimals + more);
  return shown;
}

/** The slices with these numbers, in a sentence. */
export function nameSlices(numbers) {
  return `slice${numbers.length > 1 ? "s" : ""} ${numbers.join(", ")} (from 0)`;
}

/** {verdict, score, flags, predictedDice} of a patient, by ED and ES or the only frame. */
export function judge(measured, indicators, imageFlags, diceModels) {
  const used = measured.ed === null ? [["", 0]] : [["ED: ", measured.ed], ["ES: ", measured.es]];
  const flags = [...imageFlags, ...indexFlags(measured)];
  const scores = [], predictedDice = {};
  for (const [phase, number] of used) {
    const frame = indicators[number];
    if (Number.isFinite(frame.score)) scores.push(frame.score);
    for (const s of STRUCTURES) {
      const [dice, name] = [frame.predictedDice[s], NAMES[s]];
      if (Number.isFinite(dice)) predictedDice[name] = Math.min(dice, predictedDice[name] ?? 1);
    }
    const found = [...frameFlags(frame), ...diceFlags(frame, diceModels)];
    flags.push(...found.map(({ level, reason }) => ({ level, reason: phase + reason })));
  }
  if (scores.length < used.length) flags.push(review("how far the networks agree is not known"));
  flags.sort((a, b) => VERDICTS.indexOf(b.level) - VERDICTS.indexOf(a.level));
  const score = scores.length ? Math.max(...scores) : NaN;
  return { verdict: flags[0]?.level ?? OK, score, flags, predictedDice };
}

function frameFlags(frame) {
  const missing = frame.missing.filter((s) => s !== RV).map((s) => NAMES[s]);
  const checks = [
    [missing.length > 0, REJECT, `no ${missing.join(" and no ")} was found`],
    [frame.missing.includes(RV), REVIEW, "no RV was found"],
    [frame.swapped, REJECT, "RV and LV look exchanged; is the label order right?"],
    [frame.score > SCORE_REJECT, REJECT, `the labels are in dispute (score ${showApart(frame.score, SCORE_REJECT, 1)})`],
    [frame.score > SCORE_REVIEW && frame.score <= SCORE_REJECT, REVIEW,
      `the networks disagree more than usual (score ${showApart(frame.score, SCORE_REVIEW, 1)})`],
    [frame.openRing > 0.1, REVIEW, `the myocardial ring is open: ${percent(frame.openRing, 0.1)} of the LV's `
      + "outline has no muscle beside it"],
    [frame.gaps > 0, REVIEW, `slices within the LV that hold none of it: ${frame.gaps}`],
    [frame.scattered > 0.05, REVIEW,
      `${percent(frame.scattered, 0.05)} of the labels lay apart or left holes, and were removed or filled`],
    [frame.hollow > 0.05, REVIEW, "the ring of myocardium holds space that is not LV, "
      + `${percent(frame.hollow, 0.05)} of the LV's volume`],
    [frame.ringless > 0.03, REVIEW,
      `${percent(frame.ringless, 0.03)} of the LV lies in slices without a ring of myocardium`],
    [frame.cutOff > 0.02, REVIEW, "the heart reaches the edge of the image"],
    [frame.contrast < 1.2, REVIEW, "blood is hardly brighter than muscle, unlike the training scans"],
  ];
  return checks.flatMap(([present, level, reason]) => (present ? [{ level, reason }] : []));
}

/** Flags of structures whose predicted Dice is low. */
function diceFlags({ predictedDice, byStructure, missing }, diceModels) {
  return STRUCTURES.filter((s) => predictedDice[s] < DICE_REVIEW && !missing.includes(s)).map((s) => {
    const [level, limit] = predictedDice[s] < DICE_REJECT ? [REJECT, DICE_REJECT] : [REVIEW, DICE_REVIEW];
    const why = explainDice(s, byStructure[s], diceModels);
    return { level, reason: `${NAMES[s]} Dice of about ${showApart(predictedDice[s], limit, 2)} expected: ${why}` };
  });
}

/** How an image differs from the training images. */
export function imageFlags(spacingMm, sliceSpacingMm, size) {
  const reasons = [];
  if (!spacingMm.every((mm) => SPACING_MM[0] <= mm && mm <= SPACING_MM[1])) {
    const shown = spacingMm.map((mm) => fixed(mm, 2)).join(" x ");
    reasons.push(`pixels of ${shown} mm, unlike the training scans`);
  }
  if (sliceSpacingMm < SLICE_MM[0] || sliceSpacingMm > SLICE_MM[1])
    reasons.push(`slices ${fixed(sliceSpacingMm, 1)} mm apart, unlike the training scans`);
  const fieldMm = Math.min(...size.map((n, axis) => n * spacingMm[axis]));
  if (fieldMm < MIN_FOV_MM)
    reasons.push(`a field of view of ${fixed(fieldMm, 0)} mm, less than in any training scan`);
  return reasons.map(review);
}

function indexFlags(measured) {
  const { indices, volumesMl } = measured;
  const flags = Object.entries(PLAUSIBLE).flatMap(([name, [low, high]]) =>
    indices[name] < low || indices[name] > high
      ? [review(explainIndex(name, indices[name], low, high))] : []);
  flags.push(...missingValueFlags(measured), ...volumeFlags(volumesMl));
  if (volumesMl.length === 1)
    flags.push({ level: OK, reason: "a single frame and no cine, so there is no ejection fraction" });
  return [...flags, ...measured.warnings.map(review)];
}

/** What an implausible index is, and where to look. */
function explainIndex(name, value, low, high) {
  const expected = `expected ${low} to ${high}`;
  if (name === "LVSV/RVSV") {
    const shown = value < 0 ? "below 0" : value > MAX_RATIO ? `above ${MAX_RATIO}`
      : showApart(value, value < low ? low : high, 2);
    return `${name} is ${shown}, ${expected}: unless valves leak or there is a shunt, one ventricle is `
      + "too large or too small at ED or ES; look at the base of both";
  }
  if (name.endsWith("EF (%)") && value < 0)
    return `${name} is below 0, ${expected}: the ${name.slice(0, 2)} is larger at ES than at ED; look at its `
      + "base in both";
  return `${name} is ${general(value, 4)}, ${expected}`;
}

function missingValueFlags({ indices, volumesMl }) {
  if (volumesMl.some((frame) => Object.values(frame).some(Number.isNaN)))
    return [review("the slice spacing is not known, so no volume is, and no index")];
  const missing = Object.keys(indices).filter((name) => Number.isNaN(indices[name]));
  if (!missing.length) return [];
  return [review(`no ${missing.join(" and no ")}, because the volume to divide by is 0`)];
}

function volumeFlags(volumesMl) {
  const impossible = [], unusual = [];
  for (const [structure, low, high] of PLAUSIBLE_ML) {
    const largest = Math.max(...volumesMl.map((frame) => frame[structure]));
    const shown = `${NAMES[structure]} is ${general(largest, 4)} mL`;
    if (largest > MAX_ML) impossible.push(shown);
    else if (volumesMl.length === 1 && ((largest > 0 && largest < low) || largest > high))
      unusual.push(review(`${shown}, expected ${low} to ${high}`));
  }
  if (impossible.length) {
    const reason = `${impossible.join(" and ")}, which no heart has; check spacing and axes`;
    unusual.push({ level: REJECT, reason });
  }
  return unusual;
}
