// Masks are flat arrays of 0 and 1, (Z, H, W) or (H, W), as in ctct/measurement/masks.py.

// Loops: Uint8Array.from takes ten times as long, and an edited heart is measured while its reader waits.
export function maskOf(array, test) {
  const mask = new Uint8Array(array.length);
  for (let n = 0; n < mask.length; n++) mask[n] = test(array[n]) ? 1 : 0;
  return mask;
}

export function count(mask) {
  let total = 0;
  for (let n = 0; n < mask.length; n++) total += mask[n];
  return total;
}

export const any = (mask) => mask.includes(1);

export function and(a, b) {
  const both = a.slice();
  for (let n = 0; n < both.length; n++) both[n] &= b[n];
  return both;
}

export function or(a, b) {
  const either = a.slice();
  for (let n = 0; n < either.length; n++) either[n] |= b[n];
  return either;
}

export function without(a, b) {
  const rest = a.slice();
  for (let n = 0; n < rest.length; n++) rest[n] &= b[n] ^ 1;
  return rest;
}

/** The slices of a stack (Z, H, W), views of it. */
export function slicesOf(stack, [slices, height, width]) {
  const area = height * width;
  return Array.from({ length: slices }, (_, z) => stack.subarray(z * area, (z + 1) * area));
}

/** The mask moved by one pixel in each of four directions; beyond the edge nothing belongs to it. */
export function shiftToNeighbors(mask, [slices, height, width]) {
  return [[-1, 0], [1, 0], [0, -1], [0, 1]].map(([down, along]) => {
    const moved = new Uint8Array(mask.length);
    for (let z = 0; z < slices; z++)
      for (let row = Math.max(0, -down); row < height - Math.max(0, down); row++) {
        const to = (z * height + row) * width;
        const from = to + down * width + along;
        for (let x = Math.max(0, -along); x < width - Math.max(0, along); x++)
          moved[to + x] = mask[from + x];
      }
    return moved;
  });
}

/** Tell of each pixel of a mask and each of its four sides: its place, and that of the neighbor, -1 beyond the edge. */
export function visitSides(mask, [, height, width], visit) {
  for (let at = 0; at < mask.length; at++) {
    if (!mask[at]) continue;
    const x = at % width, y = Math.floor(at / width) % height;
    visit(at, y > 0 ? at - width : -1);
    visit(at, y < height - 1 ? at + width : -1);
    visit(at, x > 0 ? at - 1 : -1);
    visit(at, x < width - 1 ? at + 1 : -1);
  }
}

/** A pixel with myocardium on so many of its four sides lies within the ring, which may have a gap. */
export const MIN_SIDES = 3;

/** On how many of its four sides a pixel has the mask, near or far; 4 for pixels of the mask. */
export function countSides(mask, [slices, height, width]) {
  const sides = new Uint8Array(mask.length);
  const sweep = (start, step, length) => {
    let seen = 0;
    for (let n = 0, at = start; n < length; n++, at += step) {
      seen |= mask[at];
      sides[at] += seen;
    }
  };
  for (let z = 0; z < slices; z++) {
    const first = z * height * width;
    for (let x = 0; x < width; x++) {
      sweep(first + x, width, height);
      sweep(first + (height - 1) * width + x, -width, height);
    }
    for (let y = 0; y < height; y++) {
      sweep(first + y * width, 1, width);
      sweep(first + (y + 1) * width - 1, -1, width);
    }
  }
  return sides;
}

/** Which slices (N, H, W) hold more than one gray value. */
export const hasPicture = (voxels, area) => Array.from({ length: voxels.length / area }, (_, n) => {
  const image = voxels.subarray(n * area, (n + 1) * area);
  return image.some((value) => value !== image[0]);
});
