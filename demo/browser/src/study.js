// A scan in memory, and the checks of ctct/io/study.py and ctct/inference/segmentation.py.

import { product } from "./arrays.js";
import { InputError } from "./errors.js";
import { general } from "./numbers.js";

const [IN_PLANE_MM, SLICE_MM] = [[0.2, 5], [0.2, 50]];
export const MAX_SLICE_MM = SLICE_MM[1];
const MIN_PIXELS = 32;
const MAX_LABEL = 15;
/** More do not fit beside the networks into the memory that a browser gives a page. */
export const MAX_VOXELS = 64 * 2 ** 20;

/**
 * The voxels of a short-axis acquisition.
 *
 * voxels: Float32Array (T, Z, H, W); shape: [T, Z, H, W]; spacingMm: [row, column];
 * sliceSpacingMm: NaN where unknown; affine: three rows of four, index (column, row, slice) to
 * millimeters (RAS+); notes: what was irregular; encodeLabels: the bytes of a NIfTI file.
 */
export class Study {
  constructor({ name, voxels, shape, spacingMm, sliceSpacingMm, affine, notes, encodeLabels }) {
    Object.assign(this, { name, voxels, shape, spacingMm, sliceSpacingMm, affine, notes, encodeLabels });
    const within = (mm, [low, high]) => low <= mm && mm <= high;
    if (!spacingMm.every((mm) => within(mm, IN_PLANE_MM)))
      throw new InputError(`pixel spacing is ${spacingMm.map((mm) => general(mm)).join(" × ")} mm, expected `
        + "0.2 to 5 mm; correct the voxel size, or its unit, in the header");
    if (shape[1] > 1 && !within(sliceSpacingMm, SLICE_MM))
      throw new InputError(`slice spacing is ${general(sliceSpacingMm)} mm, expected 0.2 to 50 mm; correct the `
        + "voxel size, or its unit, in the header; a time series saved as slices must have the axes column, "
        + "row, slice, frame");
    if (affine.flat().some((value) => !Number.isFinite(value)))
      throw new InputError("the position in the header is no number; write the file again");
  }

  /** Volume of a voxel in milliliters. */
  get voxelMl() {
    return (this.spacingMm[0] * this.spacingMm[1] * this.sliceSpacingMm) / 1000;
  }
}

/** Refuse scans that do not fit into memory, before they are unpacked. */
export function checkSize(shape) {
  if (product(shape) > MAX_VOXELS)
    throw new InputError(`the scan has ${Math.round(product(shape) / 2 ** 20)} million voxels, too many for a `
      + `browser, which takes ${MAX_VOXELS / 2 ** 20} million; use ctct predict`);
}

/** Refuse scans that no network can segment: too small, not finite, or constant. */
export function checkSegmentable({ voxels, shape }) {
  const [rows, columns] = shape.slice(2);
  if (Math.min(rows, columns) < MIN_PIXELS)
    throw new InputError(`slices are ${rows}×${columns} pixels, expected at least ${MIN_PIXELS}×${MIN_PIXELS}; `
      + "is this a short-axis image?");
  let [low, high, bad, isWhole] = [Infinity, -Infinity, 0, true];
  for (const value of voxels) {
    if (!Number.isFinite(value)) bad++;
    if (value < low) low = value;
    if (value > high) high = value;
    if (isWhole && !Number.isInteger(value)) isWhole = false;
  }
  if (bad)
    throw new InputError(`${bad} of ${voxels.length} voxels are NaN or infinite; replace them first`);
  if (low === high)
    throw new InputError(`every voxel is ${general(low)}; the image is empty, export it again`);
  if (low >= 0 && high <= MAX_LABEL && isWhole)
    throw new InputError(`holds only the whole numbers ${low} to ${high}, as a label map does; give the scan`);
}
