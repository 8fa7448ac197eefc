// Base, mid and apex of a stack of short-axis slices, as in ctct/measurement/regions.py.

import { sum } from "./numbers.js";

export const [BASE, MID, APEX] = ["base", "mid", "apex"];

/** Region of each slice, from the area of LV and myocardium in it; "" outside the ventricle. */
export function regionOfSlices(areas) {
  const first = areas.findIndex(Boolean);
  const last = areas.findLastIndex(Boolean);
  if (first < 0) return areas.map(() => "");
  const inside = areas.slice(first, last + 1);
  const positions = inside.map((_, n) => (n + 0.5) / inside.length);
  const fromBase = sum(positions.map((at, n) => at * inside[n])) <= sum(inside) / 2;
  return areas.map((_, z) => {
    if (z < first || z > last) return "";
    const at = positions[z - first];
    return [BASE, MID, APEX][Math.floor(3 * (fromBase ? at : 1 - at))];
  });
}
