// Editing of what a viewer shows: the editor, the numbers of the edited labels, and the file to save.

import { drawCurve, frameAt } from "./curve.js";
import { packEdited } from "./edited_files.js";
import { describeEdits, indicatorsOf, judgeEdits } from "./edited_result.js";
import { Editor } from "./editor.js";
import { Edits } from "./edits.js";
import { fixed } from "./numbers.js";
import { measureCounts } from "./volumes.js";

const $ = (id) => document.getElementById(id);

/**
 * Lets the reader edit the first map of the viewer's picture; returns the editor.
 *
 * automatic: as of packEdited, and given: {ed, es}; imageOf: the gray values (Z, H, W) of a frame; onResult: told
 * {measured, judgement, indices, edits} after every change.
 */
export function makeEditor(viewer, automatic, imageOf, onResult) {
  const { frames, slices, rows, columns, maps } = viewer.picture;
  const edits = new Edits(maps[0], [frames, slices, rows, columns], automatic.given);
  const judgeNow = keepIndicators(automatic, imageOf);
  let waiting = 0;
  const onChange = ({ isDone }) => {
    const measured = measureCounts(edits.counts, automatic.voxelMl, edits.given);
    viewer.phases = measured;
    $("numbers").textContent = describe(measured, edits);
    if (!isDone) return;
    viewer.moveHead = drawCurve($("curve"), measured);
    viewer.moveHead(viewer.frame);
    clearTimeout(waiting); // the verdict takes longer, and comes once the reader sees the numbers
    waiting = setTimeout(() => onResult({ ...judgeNow(edits), edits }));
  };
  const onSave = async () => ({
    name: `${automatic.name}_edited.zip`,
    content: await packEdited(edits, judgeNow(edits), automatic),
  });
  return new Editor(viewer, edits, {
    tools: $("tools"), said: $("said"), spacingMm: automatic.spacingMm, onChange, onSave,
  });
}

/** judgeEdits that computes the indicators of a frame anew only where its labels have changed. */
function keepIndicators(automatic, imageOf) {
  const known = new Map();
  return (edits) => judgeEdits(edits, automatic, (frame) => {
    const version = edits.versionOf(frame);
    if (known.get(frame)?.version !== version)
      known.set(frame, { version, indicators: indicatorsOf(edits, frame, imageOf(frame), automatic.diceModels) });
    return known.get(frame).indicators;
  });
}

/** Follow clicks on the curve: they show a frame, or move ED or ES. */
export function followCurve(viewer, editorOf) {
  $("curve").onclick = (event) => {
    const { frames } = viewer.picture, editor = editorOf();
    if (frames < 3) return;
    const frame = frameAt($("curve"), event, frames);
    viewer.play(false);
    if (editor?.isMoving) editor.moveTo(frame);
    viewer.go(frame, viewer.slice);
  };
}

/** The numbers in a line, as they change under the brush. */
function describe({ volumesMl, indices }, edits) {
  const shown = Object.keys(indices).length
    ? ["LVEDV (mL)", "LVESV (mL)", "LVEF (%)", "RVEF (%)", "LVM (g)"].map((name) => [name, indices[name]])
    : [["LV (mL)", volumesMl[0][3]], ["MYO (mL)", volumesMl[0][2]], ["RV (mL)", volumesMl[0][1]]];
  const values = shown.map(([name, value]) => {
    const [, what, unit] = name.match(/^(\S+) \((.*)\)$/);
    return `${what} ${Number.isFinite(value) ? fixed(value, 1) : "–"} ${unit}`;
  });
  return `${edits.changed ? `edited: ${describeEdits(edits)}` : "not edited"}; ${values.join(", ")}`;
}
