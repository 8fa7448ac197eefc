// Everything computed from the labels of a scan, as in ctct/prediction/case_result.py.

import { product, range } from "./arrays.js";
import { coverageFlags } from "./coverage.js";
import { imageFlags, judge, REVIEW } from "./flags.js";
import { frameIndicators } from "./indicators.js";
import { motionFlags } from "./motion_flags.js";
import { stackFlags, timingFlags } from "./stack_flags.js";
import { measure } from "./volumes.js";

/** Measurements and verdict, and what the verdict comes from: indicators by frame, and flags of the image. */
export function analyze(study, labels, disagreement, removed, diceModels) {
  const { shape, voxels, spacingMm, sliceSpacingMm } = study;
  const [frames, ...size] = shape;
  const ofFrame = (array, t) => array.subarray(t * product(size), (t + 1) * product(size));
  const indicators = range(frames).map((t) => frameIndicators(
    ...[voxels, labels, disagreement].map((array) => ofFrame(array, t)), size, removed[t], diceModels));
  const measured = measure(labels, frames, study.voxelMl, study.given);
  const flags = [
    ...imageFlags(spacingMm, sliceSpacingMm, shape.slice(2)),
    ...stackFlags(voxels, shape, sliceSpacingMm),
    ...study.notes.map((reason) => ({ level: REVIEW, reason })),
    ...timingFlags(labels, shape),
    ...coverageFlags(labels, voxels, shape, spacingMm, sliceSpacingMm),
    ...motionFlags(labels, shape, measured.ed, measured.es, spacingMm),
  ];
  return { measured, judgement: judge(measured, indicators, flags, diceModels), indicators, flags };
}
