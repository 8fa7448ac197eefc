// Connected components of label maps, as in ctct/measurement/components.py.

import { LV, MYO, RV } from "./labels.js";
import { and, count, countSides, maskOf, MIN_SIDES, or, shiftToNeighbors } from "./masks.js";

/** Pixels from the wall within which the RV lies. */
const NEAR = 2;
/** Of the size of the largest wall, a smaller one is not that of the heart. */
const MIN_SIZE = 0.25;

const CUBE = [-1, 0, 1].flatMap((z) => [-1, 0, 1].flatMap((y) => [-1, 0, 1].map((x) => [z, y, x])));
export const TOUCHING = CUBE.filter((step) => step.some(Boolean));
export const IN_PLANE = TOUCHING.filter(([z, y, x]) => !z && Math.abs(y) + Math.abs(x) === 1);

/** The number of each voxel's component, from 1 in order of their first voxels, and their sizes. */
export function findComponents(mask, [slices, height, width], neighbors = TOUCHING) {
  const numbers = new Int32Array(mask.length);
  const sizes = [0];
  const stack = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || numbers[start]) continue;
    const number = sizes.length;
    numbers[start] = number;
    stack.push(start);
    let size = 0;
    while (stack.length) {
      const at = stack.pop();
      size++;
      const x = at % width, y = Math.floor(at / width) % height, z = Math.floor(at / width / height);
      for (const [dz, dy, dx] of neighbors) {
        if (x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height) continue;
        if (z + dz < 0 || z + dz >= slices) continue;
        const next = at + (dz * height + dy) * width + dx;
        if (mask[next] && !numbers[next]) {
          numbers[next] = number;
          stack.push(next);
        }
      }
    }
    sizes.push(size);
  }
  return { numbers, sizes };
}

/** The RV, and the LV with its myocardium, without what lies elsewhere in the body. */
export function findHeart(labels, size) {
  const walls = findComponents(maskOf(labels, (label) => label === MYO || label === LV), size);
  const rvs = findComponents(maskOf(labels, (label) => label === RV), size);
  const is = (numbers, chosen) => maskOf(numbers, (number) => number === chosen && number > 0);
  const least = Math.max(...walls.sizes) * MIN_SIZE;
  const candidates = [...walls.sizes.keys()].filter((n) => n && walls.sizes[n] >= least)
    .sort((a, b) => walls.sizes[b] - walls.sizes[a] || a - b);
  let [chosen, chosenRv, most] = [0, 0, -1];
  for (const number of candidates) {
    const wall = is(walls.numbers, number);
    const rv = findBeside(wall, rvs, size);
    const counted = (walls.sizes[number] + rvs.sizes[rv]) * shareWithin(wall, labels, size);
    if (counted > most) [most, chosen, chosenRv] = [counted, number, rv];
  }
  return { rv: is(rvs.numbers, chosenRv || indexOfLargest(rvs.sizes)), wall: is(walls.numbers, chosen) };
}

/** The component with the most voxels beside the wall; 0 where none has any. */
function findBeside(wall, { numbers, sizes }, size) {
  let near = wall;
  for (let n = 0; n < NEAR; n++) near = shiftToNeighbors(near, size).reduce(or, near);
  const beside = sizes.map(() => 0);
  numbers.forEach((number, at) => { if (near[at] && number) beside[number]++; });
  return indexOfLargest(beside);
}

/** The share of the LV that has myocardium on three of its sides or four; 0 without LV. */
function shareWithin(component, labels, size) {
  const [blood, muscle] = [LV, MYO].map((structure) => and(component, maskOf(labels, (label) => label === structure)));
  const sides = countSides(muscle, size);
  return count(and(blood, maskOf(sides, (n) => n >= MIN_SIDES))) / Math.max(count(blood), 1);
}

/** Index of the first largest value. */
export const indexOfLargest = (values) =>
  values.reduce((best, value, n) => (value > values[best] ? n : best), 0);
