// Numbers and verdict of edited labels.

import { boundingBox, cutBox } from "./arrays.js";
import { judge, OK } from "./flags.js";
import { frameIndicators } from "./indicators.js";
import { measureCounts } from "./volumes.js";

/**
 * {measured, judgement, indices: [name, value, mark]} of labels as they are now.
 *
 * How far the networks disagree says nothing of labels that are not theirs. So it is not known of a frame
 * that was edited, and the verdict is at least "review" where ED or ES is one.
 *
 * automatic: {voxelMl, indicators: by frame, imageFlags, diceModels, warnings, derived: [index, of which
 * one, factor], ranges: index to [lowest, highest]}; ofEdited: the indicators of a frame that was edited.
 */
export function judgeEdits(edits, automatic, ofEdited) {
  const measured = measureCounts(edits.counts, automatic.voxelMl, edits.given, automatic.warnings);
  const indicators = { ...automatic.indicators };
  for (const frame of new Set([measured.ed ?? 0, measured.es ?? 0]))
    if (edits.isEdited(frame)) indicators[frame] = ofEdited(frame);
  const flags = [...automatic.imageFlags];
  if (edits.changed) flags.push({ level: OK, reason: `the labels were edited by hand: ${describeEdits(edits)}` });
  const judgement = judge(measured, indicators, flags, automatic.diceModels);
  return { measured, judgement, indicators, indices: allIndices(measured.indices, automatic) };
}

/** Indicators of a frame whose labels no network made; image: its gray values (Z, H, W). */
export function indicatorsOf(edits, frame, image, diceModels) {
  const [, slices, ...area] = edits.shape;
  const length = slices * edits.area;
  const labels = edits.labels.subarray(frame * length, (frame + 1) * length);
  const box = boundingBox(labels, area, 1); // what lies beyond it counts for nothing
  const [cutLabels, size] = cutBox(labels, [slices, ...area], box);
  const [cutImage] = cutBox(image, [slices, ...area], box);
  return frameIndicators(cutImage, cutLabels, new Float32Array(cutLabels.length).fill(NaN), size, 0, diceModels);
}

/** "50 voxels in 2 frames". */
export function describeEdits(edits) {
  const frames = edits.counts.filter((_, t) => edits.isEdited(t)).length;
  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  return `${plural(edits.changed, "voxel")} in ${plural(frames, "frame")}`;
}

/** All indices, also those of the patient's body, with "low" or "high" where they lie out of range. */
function allIndices(indices, { derived, ranges }) {
  const values = { ...indices };
  if (Object.keys(indices).length)
    for (const [name, base, factor] of derived) values[name] = (base === null ? 1 : indices[base]) * factor;
  return Object.entries(values).map(([name, value]) => {
    const [low, high] = ranges[name] ?? [-Infinity, Infinity];
    return [name, value, value < low ? "low" : value > high ? "high" : ""];
  });
}
