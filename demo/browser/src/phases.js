// End-diastole and end-systole from the volume of the left ventricle, as in ctct/measurement/phases.py.

import { indexOfLargest } from "./components.js";
import { range } from "./arrays.js";
import { fixed, mean } from "./numbers.js";

const HARMONICS = 4;
export const MIN_FRAMES = 8;
const MIN_FALL = 0.1;
const MIN_DEPTH = 0.25;
const MAX_STEP = 0.5;
const ROUNDING = 1e-9;
const MAX_DEVIATION = 0.1;

/** {ed, es, smoothMl, warnings} of the LV volumes of at least two frames. */
export function findPhases(volumesMl) {
  const isKnown = volumesMl.map((ml) => Number.isFinite(ml) && ml > 0);
  if (!isKnown.includes(true)) return { ed: 0, es: 0, smoothMl: volumesMl, warnings: [] };
  const curve = volumesMl.map((ml, n) => (isKnown[n] ? ml : NaN));
  const smooth = isKnown.filter(Boolean).length >= MIN_FRAMES ? smoothCycle(curve) : curve;
  const chosen = (fallback, sign) => indexOfLargest(smooth.map((ml, n) => (isKnown[n] ? sign * ml : fallback)));
  return {
    ed: chosen(-Infinity, 1),
    es: chosen(-Infinity, -1),
    smoothMl: smooth,
    warnings: findWarnings(curve, smooth),
  };
}

/** Least-squares Fourier series of a periodic curve, through the values that are known. */
export function smoothCycle(curve) {
  const known = range(curve.length).filter((n) => Number.isFinite(curve[n]));
  const orders = Math.min(HARMONICS, Math.floor(known.length / 4));
  const basis = curve.map((_, n) => {
    const angles = range(orders).map((k) => ((2 * Math.PI * n) / curve.length) * (k + 1));
    return [1, ...angles.map(Math.cos), ...angles.map(Math.sin)];
  });
  const weights = solveLeastSquares(known.map((n) => basis[n]), known.map((n) => curve[n]));
  return basis.map((row) => row.reduce((total, value, k) => total + value * weights[k], 0));
}

/** Weights that bring rows · weights nearest to values: by orthogonal columns (Gram-Schmidt, twice). */
function solveLeastSquares(rows, values) {
  const columns = rows[0].map((_, k) => rows.map((row) => row[k]));
  const inner = (a, b) => a.reduce((total, value, n) => total + value * b[n], 0);
  const orthogonal = [], upper = columns.map(() => columns.map(() => 0));
  columns.forEach((column, k) => {
    let rest = column;
    for (let pass = 0; pass < 2; pass++)
      orthogonal.forEach((other, j) => {
        const share = inner(other, rest);
        upper[j][k] += share;
        rest = rest.map((value, n) => value - share * other[n]);
      });
    upper[k][k] = Math.sqrt(inner(rest, rest));
    orthogonal.push(rest.map((value) => value / upper[k][k]));
  });
  const weights = orthogonal.map((column) => inner(column, values));
  for (let k = weights.length - 1; k >= 0; k--) {
    for (let j = k + 1; j < weights.length; j++) weights[k] -= upper[k][j] * weights[j];
    weights[k] /= upper[k][k];
  }
  return weights;
}

function findWarnings(curve, smooth) {
  const known = range(curve.length).filter((n) => Number.isFinite(curve[n]));
  const levels = smooth.filter(Number.isFinite);
  const highest = Math.max(...levels);
  const span = highest - Math.min(...levels);
  const warnings = [];
  if (known.length < curve.length)
    warnings.push(`${curve.length - known.length} of ${curve.length} frames hold no left ventricle`);
  if (span < MIN_FALL * highest)
    warnings.push(`the left ventricle hardly contracts, by ${fixed((100 * span) / highest, 0)} %`);
  if (known.length < MIN_FRAMES || span <= ROUNDING * highest) return warnings;
  const minima = minimumDepths(smooth).filter((depth) => depth >= MIN_DEPTH * span).length;
  if (minima > 1) warnings.push(`the LV volume has ${minima} minima in one cycle`);
  const step = Math.abs(curve[known.at(-1)] - curve[known[0]]);
  if (step > MAX_STEP * span)
    warnings.push(`the LV volume jumps by ${fixed(step, 0)} mL from the last frame to the first`);
  const deviation = Math.sqrt(mean(known.map((n) => (curve[n] - smooth[n]) ** 2)));
  if (deviation > MAX_DEVIATION * span)
    warnings.push(`the LV volume is unsteady, ${fixed(deviation, 0)} mL around its smooth curve`);
  return warnings;
}

/** How far one must climb out of each local minimum of a periodic curve to get to a lower one. */
function minimumDepths(cycle) {
  const count = cycle.length;
  return cycle.flatMap((value, at) => {
    if (!(cycle.at(at - 1) > value && value <= cycle[(at + 1) % count])) return [];
    const climbs = [-1, 1].map((direction) => {
      const path = range(count - 1).map((k) => cycle[(at + direction * (k + 1) + count) % count]);
      const lower = path.findIndex((other) => other < value);
      return Math.max(value, ...(lower < 0 ? path : path.slice(0, lower))) - value;
    });
    return [Math.min(...climbs)];
  });
}
