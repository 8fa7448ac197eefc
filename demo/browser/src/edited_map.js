// Edited labels as a NIfTI file that says so.

import { Layout, pasteBox, product } from "./arrays.js";

/** Where the two kinds of NIfTI headers hold their description, and its length. */
const DESCRIPTIONS = { 348: [148, 80], 540: [240, 80] };

/** Write a description into the header of a NIfTI file, in place. */
export function describeMap(file, text) {
  const isLittle = file[0] !== 0; // the header begins with its size, 348 or 540
  const size = new DataView(file.buffer, file.byteOffset).getInt32(0, isLittle);
  const [at, length] = DESCRIPTIONS[size];
  file.fill(0, at, at + length);
  file.set(new TextEncoder().encode(text).subarray(0, length - 1), at);
}

/**
 * The label map in the geometry of a file, of which the bytes before the voxels are known.
 *
 * labels: of a box of the scan; file: {head: those bytes, shape: (T, Z, H, W) of the scan, strides: distances between
 * neighbors along each of them in the file, box}.
 */
export function encodeMap(labels, { head, shape, strides, box }, text) {
  const whole = new Uint8Array(product(shape));
  pasteBox(labels, whole, [shape[0] * shape[1], ...shape.slice(2)], box);
  const file = new Uint8Array(head.length + whole.length);
  file.set(head);
  file.set(new Layout(shape, strides).scatter(whole), head.length);
  describeMap(file, text);
  return file;
}
