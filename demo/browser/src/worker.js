// All work beside the page: reading, labels, measurements. Scans stay here.

import { analyze } from "./analyze.js";
import { boundingBox, cutBox, pasteBox, product } from "./arrays.js";
import { cleanUp } from "./clean_up.js";
import { describeMap } from "./edited_map.js";
import { InputError } from "./errors.js";
import { dropOthers, fetchAll, NetworkError } from "./files.js";
import { readScan } from "./input.js";
import { Pool } from "./pool.js";
import { removeRvAboveBase } from "./rv_base.js";
import { segment } from "./segment.js";
import { checkSegmentable } from "./study.js";

const tell = (message, transfer = []) => postMessage(message, transfer);
let loading = null;
let encodeMap = null; // of the last scan
/** A GPU that takes longer to start is emulated, or does not fit the networks. */
const MAX_GPU_START_MS = 30_000;

onmessage = async ({ data: { files, edited } }) => {
  if (edited) {
    tell({ map: encodeMap(edited.labels, edited.text) });
    return;
  }
  try {
    await answer(files);
  } catch (error) {
    tell({ error: describe(error, files.length > 1 ? files[0].name.split("/")[0] : files[0]?.name ?? "") });
  }
};

async function answer(files) {
  const begun = performance.now();
  tell({ stage: "reading the scan", share: null });
  const study = await readScan(files);
  checkSegmentable(study);
  loading ??= loadNetworks();
  const networks = await loading.catch((error) => {
    loading = null; // the next scan tries again
    throw error;
  });
  const started = performance.now();
  const onShare = (share) => tell({ stage: "segmenting", share });
  onShare(0);
  const run = (prepare) => networks.pool.run(prepare);
  const raw = await segment(study, networks.grids, run, onShare).catch((error) => {
    networks.pool.close(); // out of memory, a worker is of no more use
    loading = null;
    throw error;
  });
  tell({ stage: "measuring", share: null });
  const { labels: cleaned, removed } = cleanUp(raw.labels, study.shape);
  const labels = removeRvAboveBase(cleaned, study.voxels, study.shape, study.sliceSpacingMm, networks.baseModel);
  const result = analyze(study, labels, raw.disagreement, removed, networks.diceModels);
  const { picture, box } = crop(study, labels);
  const file = await gzip(study.encodeLabels(labels));
  const seconds = { total: (performance.now() - begun) / 1000, segmenting: (performance.now() - started) / 1000 };
  encodeMap = (edited, text) => {
    const whole = new Uint8Array(product(study.shape));
    pasteBox(edited, whole, [study.shape[0] * study.shape[1], ...study.shape.slice(2)], box);
    const map = study.encodeLabels(whole);
    describeMap(map, text);
    return map;
  };
  const { diceModels, version, tables, runtime } = networks;
  const { voxelMl, spacingMm, given = { ed: null, es: null } } = study;
  const known = { diceModels, version, tables, voxelMl, spacingMm, given };
  tell({ result: { name: study.name, ...result, known, picture, file, seconds, runtime } },
    [picture.gray.buffer, picture.labels.buffer]);
}

/** The networks and their grids, on the GPU where the browser has one that agrees with the CPU. */
async function loadNetworks() {
  const { files, models, runtimes, ...known } = await fetchManifest();
  const fetchRuntime = async (name) => {
    const needed = [runtimes[name], ...Object.values(models).map((model) => model.file)];
    const contents = await fetchAll(needed, (share) => tell({ stage: "loading the networks", share }));
    tell({ stage: "starting the networks", share: null });
    const byName = Object.fromEntries(
      Object.entries(models).map(([key, model]) => [key, contents[model.file.path]]));
    return [contents[runtimes[name].path], byName];
  };
  const grids = { whole: models.whole.grid, heart: models.heart?.grid ?? null };
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (adapter && !adapter.isFallbackAdapter && !adapter.info?.isFallbackAdapter) {
    try {
      const pool = await Pool.load("runner_webgpu.js", 1, ...(await fetchRuntime("webgpu")), MAX_GPU_START_MS);
      return { pool, grids, ...known, runtime: "WebGPU" };
    } catch (error) {
      if (error instanceof NetworkError) throw error;
    }
  }
  const count = navigator.hardwareConcurrency || 1;
  const pool = await Pool.load("runner_wasm.js", count, ...(await fetchRuntime("wasm"))).catch((error) => {
    throw error.message ? error : new NetworkError("a file of the page is missing");
  });
  await dropOthers(files);
  return { pool, grids, ...known, runtime: "WebAssembly" };
}

async function fetchManifest() {
  try {
    return await (await fetch("manifest.json", { cache: "no-cache" })).json();
  } catch {
    throw new NetworkError("the page's list of files could not be loaded");
  }
}

/** Gray values and labels around the heart, for the page, and where they lie in the slices. */
function crop({ voxels, shape, spacingMm }, labels) {
  const [frames, slices, height, width] = shape;
  const heart = boundingBox(labels, [height, width]);
  const margin = Math.round(0.3 * Math.max(heart.rows[1] - heart.rows[0], heart.columns[1] - heart.columns[0]));
  const box = boundingBox(labels, [height, width], margin);
  const [cutLabels, size] = cutBox(labels, [frames * slices, height, width], box);
  const [pixels] = cutBox(voxels, [frames * slices, height, width], box);
  const sample = Float32Array.from({ length: 20000 }, (_, n) => pixels[Math.floor((n * pixels.length) / 20000)]).sort();
  const low = sample[200], high = Math.max(sample[19900], low + 1e-6);
  const gray = Uint8ClampedArray.from(pixels, (value) => (255 * (value - low)) / (high - low));
  const [, rows, columns] = size;
  const picture = { gray, labels: cutLabels, frames, slices, rows, columns, aspect: spacingMm[0] / spacingMm[1] };
  return { picture, box };
}

async function gzip(bytes) {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(packed).blob();
}

/** An error in a sentence for the reader. */
function describe(error, name) {
  const where = name ? `${name}: ` : "";
  if (error instanceof InputError) return where + error.message;
  if (error instanceof NetworkError)
    return `The networks could not be loaded: ${error.message}. Check the connection and drop the scan again.`;
  if (error instanceof RangeError || /alloc|memory/i.test(error?.message))
    return `${where}the browser has not enough memory for this scan; close other pages, or use ctct predict.`;
  return `${where}this scan could not be processed (${error?.message ?? error}); try ctct predict.`;
}
