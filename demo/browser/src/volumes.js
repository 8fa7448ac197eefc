// Volumes, ejection fraction and mass from label maps, as in ctct/measurement/volumes.py.

import { LV, MYO, NAMES, RV, STRUCTURES } from "./labels.js";
import { fixed } from "./numbers.js";
import { MIN_FRAMES, findPhases } from "./phases.js";

const MYOCARDIAL_DENSITY_G_PER_ML = 1.05;

/** How far the LV volume in a given ED or ES may lie from the extreme, as a share of the largest. */
const MAX_FROM_EXTREME = 0.15;

/** {volumesMl: by frame and structure, ed, es, smoothMl, warnings, indices}; ED and ES null of one frame. */
export function measure(labels, frames, voxelMl, given = undefined) {
  const length = labels.length / frames;
  const counts = Array.from({ length: frames }, (_, t) => {
    const found = [0, 0, 0, 0];
    for (const label of labels.subarray(t * length, (t + 1) * length)) found[label]++;
    return found;
  });
  return measureCounts(counts, voxelMl, given);
}

/**
 * The same from the number of voxels by frame and label.
 *
 * given: {ed, es}: numbers of frames where they are known, otherwise null; warnings: further ones.
 */
export function measureCounts(counts, voxelMl, given = { ed: null, es: null }, warnings = []) {
  const volumesMl = counts.map((found) => Object.fromEntries(STRUCTURES.map((s) => [s, found[s] * voxelMl])));
  if (counts.length === 1)
    return { volumesMl, ed: null, es: null, smoothMl: [], warnings: [...warnings], indices: {} };
  const lvMl = volumesMl.map((frame) => frame[LV]);
  const phases = findPhases(lvMl);
  const ed = given.ed ?? phases.ed, es = given.es ?? phases.es;
  return {
    volumesMl,
    ...phases,
    ed,
    es,
    warnings: [...phases.warnings, ...checkCount(lvMl, given), ...checkGiven(lvMl, given), ...warnings],
    indices: findIndices(volumesMl[ed], volumesMl[es]),
  };
}

/** A sentence for ED and ES that were found among more than two frames, too few for a cine. */
function checkCount(lvMl, { ed, es }) {
  if (lvMl.length <= 2 || lvMl.length >= MIN_FRAMES || (ed !== null && es !== null)) return [];
  return [`${lvMl.length} frames are too few to find ED and ES among them; name both where known`];
}

/** A sentence for ED, and one for ES, that were given and are far from the extreme volume. */
function checkGiven(lvMl, { ed, es }) {
  const largest = Math.max(...lvMl), smallest = Math.min(...lvMl);
  const checks = [["ED", ed, largest, "largest"], ["ES", es, smallest, "smallest"]];
  return checks.filter(([, given, extreme]) => given !== null
    && Math.abs(lvMl[given] - extreme) > MAX_FROM_EXTREME * largest)
    .map(([phase, given, extreme, word]) => `the LV has ${fixed(lvMl[given], 0)} mL in frame ${given}, the given ${phase}, `
      + `and ${fixed(extreme, 0)} mL in frame ${lvMl.indexOf(extreme)}, the ${word} volume`);
}

/** The indices by column name, in the order of measurements.csv. */
function findIndices(ed, es) {
  const values = {};
  for (const ventricle of [LV, RV]) {
    const name = NAMES[ventricle], stroke = ed[ventricle] - es[ventricle];
    values[`${name}EDV (mL)`] = ed[ventricle];
    values[`${name}ESV (mL)`] = es[ventricle];
    values[`${name}SV (mL)`] = stroke;
    values[`${name}EF (%)`] = ratio(100 * stroke, ed[ventricle]);
  }
  values["LVM (g)"] = ed[MYO] * MYOCARDIAL_DENSITY_G_PER_ML;
  values["LVM ES (g)"] = es[MYO] * MYOCARDIAL_DENSITY_G_PER_ML;
  values["LVSV/RVSV"] = ratio(values["LVSV (mL)"], values["RVSV (mL)"]);
  return values;
}

const ratio = (part, whole) => (whole ? part / whole : NaN);
