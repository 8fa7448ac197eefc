// What is saved of edited labels: a zip with the label map and the tables, each of which says so.

import { describeEdits } from "./edited_result.js";
import { NAMES, STRUCTURES } from "./labels.js";
import { fixed } from "./numbers.js";
import { packZip } from "./pack_zip.js";

/** Text of a cell that a spreadsheet would calculate, as in ctct/report/tables.py. */
const FORMULA = /^(?![+-]?\d+(\.\d+)?$)[=+\-@\t\r\n＝＋－＠]/;

/**
 * A zip whose folder "edited" can be given to ctct measure.
 *
 * automatic: as of judgeEdits, and {name, version, tables: file name to columns, encodeMap: promises the bytes of
 * the label map for labels and a description}.
 */
export async function packEdited(edits, result, automatic) {
  const text = `edited: ${describeEdits(edits)}, ctct ${automatic.version}`;
  const map = await automatic.encodeMap(edits.labels, text);
  const packed = new Blob([map]).stream().pipeThrough(new CompressionStream("gzip"));
  const encode = (table) => new TextEncoder().encode(table);
  return packZip({
    [`edited/${automatic.name}_seg.nii.gz`]: new Uint8Array(await new Response(packed).arrayBuffer()),
    "edited/measurements.csv": encode(patientTable(edits, result, automatic)),
    "edited/frames.csv": encode(frameTable(edits, result, automatic)),
  });
}

function patientTable(edits, { measured, judgement, indices }, automatic) {
  const { verdict, score, flags, predictedDice } = judgement;
  const values = {
    patient: automatic.name,
    frames: edits.counts.length,
    "ED frame": measured.ed ?? "",
    "ES frame": measured.es ?? "",
    verdict,
    score: decimals(score),
    ...byStructure("predicted Dice", (s) => decimals(predictedDice[NAMES[s]])),
    ...Object.fromEntries(indices.map(([name, value]) => [name, decimals(value)])),
    "out of range": indices.filter(([, , mark]) => mark).map(([name, , mark]) => `${name} ${mark}`).join("; "),
    flags: flags.map((flag) => flag.reason).join("; "),
    edited: edits.changed ? describeEdits(edits) : "",
    "edited voxels": edits.changed,
    "edited with": `ctct ${automatic.version}`,
  };
  return encodeTable(automatic.tables["measurements.csv"], [values]);
}

function frameTable(edits, { measured, indicators }, automatic) {
  const rows = measured.volumesMl.map((volumes, number) => {
    const isEdited = edits.isEdited(number);
    const known = isEdited ? null : indicators[number];
    return {
      patient: automatic.name,
      case: automatic.name,
      frame: number,
      phase: number === measured.ed ? "ED" : number === measured.es ? "ES" : "",
      ...byStructure("volume (mL)", (s) => decimals(volumes[s])),
      "LV volume, smooth (mL)": decimals(measured.smoothMl[number]),
      score: decimals(known?.score),
      ...byStructure("disagreement", (s) => decimals(known?.disagreement?.[NAMES[s]], 3)),
      ...byStructure("predicted Dice", (s) => decimals(known?.predictedDice?.[s])),
      edited: isEdited ? "yes" : "",
      "edited voxels": edits.changedIn(number),
      "edited with": `ctct ${automatic.version}`,
    };
  });
  return encodeTable(automatic.tables["frames.csv"], rows);
}

const byStructure = (what, valueOf) => Object.fromEntries(STRUCTURES.map((s) => [`${NAMES[s]} ${what}`, valueOf(s)]));
const decimals = (value, digits = 2) => (Number.isFinite(value) ? fixed(value, digits) : "");

/** A table as CSV: the columns of the automatic one, and those that say what was edited. */
export function encodeTable(columns, rows) {
  const all = [...columns, ...["edited", "edited voxels", "edited with"].filter((name) => !columns.includes(name))];
  const quote = (value) => {
    const text = FORMULA.test(String(value)) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [all, ...rows.map((row) => all.map((name) => row[name] ?? ""))]
    .map((cells) => `${cells.map(quote).join(",")}\r\n`).join("");
}
