// Calls functions of demo/browser/src for tests: a list of {module, name, args} on standard input,
// a list of {value} or {error} on standard output. Arrays of numbers are {"$": type, base64}.
import { readFileSync } from "node:fs";

const ARRAYS = { u1: Uint8Array, f4: Float32Array, f8: Float64Array };
const NUMBERS = { nan: NaN, inf: Infinity, "-inf": -Infinity };
const source = new URL("../../demo/browser/src/", import.meta.url);

function revive(key, value) {
  if (value?.$ === undefined) return value;
  if (value.$ in NUMBERS) return NUMBERS[value.$];
  const bytes = new Uint8Array(Buffer.from(value.base64, "base64"));
  return new ARRAYS[value.$](bytes.buffer);
}

function encode(key, value) {
  const type = Object.keys(ARRAYS).find((name) => value instanceof ARRAYS[name]);
  if (type) return { $: type, base64: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  if (typeof value === "number" && !Number.isFinite(value)) return { $: Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf" };
  return value;
}

const special = {
  // A runtime that answers with the intensities, rounded.
  async segmentByValue(study, grids) {
    const { segment } = await import(new URL("segment.js", source));
    const crops = [];
    const run = async (prepare) => {
      const { onHeart, slices, size, spacingMm } = prepare();
      crops.push([onHeart, ...size, ...spacingMm]);
      const labels = Uint8Array.from(slices, (value) => (value >= 0.5 ? Math.min(Math.round(value), 3) : 0));
      return { labels, disagreement: Float32Array.from(slices, (value) => Math.abs(value) / 16) };
    };
    return { ...(await segment(study, grids, run, () => {})), crops };
  },
  // What was dropped as a study, by a bundle of input.js.
  async readFiles(bundle, files) {
    const { readScan } = await import(bundle);
    const study = await readScan(files.map(({ name, bytes }) => ({ name, file: new Blob([bytes]) })));
    const labels = Uint8Array.from(study.voxels, (value) => Math.abs(value) % 4);
    return { ...study, encoded: study.encodeLabels(labels), encodeLabels: undefined };
  },
  // The pixels (H, W) that a tool sweeps.
  async sweep(from, to, radiusMm, spacingMm, [rows, columns]) {
    const { sweepDisc } = await import(new URL("shapes.js", source));
    const mask = new Uint8Array(rows * columns);
    sweepDisc(from, to, radiusMm, spacingMm, [rows, columns], (row, column) => { mask[row * columns + column] = 1; });
    return mask;
  },
  // How edits stand after each of some steps [method, ...arguments].
  async edit(labels, shape, steps) {
    const { Edits } = await import(new URL("edits.js", source));
    const edits = new Edits(labels, shape);
    return steps.map(([method, ...args]) => {
      const answer = edits[method](...args);
      const { counts, changed, isUnsaved, given } = edits;
      return structuredClone({ answer: answer ?? null, labels: edits.labels, counts, changed, isUnsaved, given });
    });
  },
  // Numbers, verdict and files of labels that replace those of a scan.
  async judgeEdited(original, labels, shape, automatic, images, given) {
    const { Edits } = await import(new URL("edits.js", source));
    const { indicatorsOf, judgeEdits } = await import(new URL("edited_result.js", source));
    const edits = new Edits(original, shape, given);
    labels.forEach((label, at) => edits.set(at, label));
    edits.commit();
    const result = judgeEdits(edits, automatic, (frame) => indicatorsOf(edits, frame, images[frame], automatic.diceModels));
    return { ...result, indicators: null };
  },
  // A label map in the geometry of a file.
  async encodeEdited(labels, file, text) {
    const { encodeMap } = await import(new URL("edited_map.js", source));
    return encodeMap(labels, file, text);
  },
  // A file read, and labels written in its geometry.
  async readAndLabel(bytes, labelBytes) {
    const { readNifti } = await import(new URL("nifti.js", source));
    const study = readNifti(bytes, "scan");
    return { ...study, encoded: study.encodeLabels(labelBytes), encodeLabels: undefined };
  },
};

const answers = [];
for (const { module, name, args } of JSON.parse(readFileSync(0, "utf8"), revive)) {
  try {
    const call = special[name] ?? (await import(new URL(`${module}.js`, source)))[name];
    answers.push({ value: (await call(...args)) ?? null });
  } catch (error) {
    answers.push({ error: error.constructor.name === "InputError" ? error.message : error.stack });
  }
}
process.stdout.write(JSON.stringify(answers, encode));
