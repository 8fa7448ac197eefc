// The page inside the frame of ctct demo: the viewer of a scan that the server has labelled.

import { drawCurve } from "./curve.js";
import { encodeMap } from "./edited_map.js";
import { followCurve, makeEditor } from "./editing.js";
import { Viewer } from "./viewer.js";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const [rows, columns] = data.size;
const area = rows * columns;

const images = data.pngs.map((png) => Object.assign(new Image(), { src: `data:image/png;base64,${png}` }));
const reader = new OffscreenCanvas(columns, rows).getContext("2d", { willReadFrequently: true });
const decoded = new Map();
let [viewer, editor] = [null, null];

/** One channel of a slice's picture: gray values are red, disagreement is blue. */
function channelOf(number, channel, onReady) {
  const image = images[number];
  if (!image.complete) {
    image.onload = onReady;
    return null;
  }
  if (!decoded.has(number)) {
    reader.drawImage(image, 0, 0);
    const { data: pixels } = reader.getImageData(0, 0, columns, rows);
    const pick = (offset) => Uint8Array.from({ length: area }, (_, p) => pixels[4 * p + offset]);
    decoded.set(number, { red: pick(0), blue: pick(2) });
  }
  return decoded.get(number)[channel];
}

/** The gray values of all slices of a frame. */
function imageOf(frame) {
  const all = new Float32Array(data.slices * area);
  for (let z = 0; z < data.slices; z++) all.set(channelOf(frame * data.slices + z, "red"), z * area);
  return all;
}

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** The label maps, of which a byte holds two bits each; not in the pictures, whose values a browser may blur. */
async function unpackMaps() {
  const unpacked = new Blob([bytesOf(data.labels)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const packed = new Uint8Array(await new Response(unpacked).arrayBuffer());
  return data.layers.map((_, n) => packed.map((byte) => (byte >> (2 * n)) & 3));
}

/** What came as JSON, as the rules expect it: NaN for what is not known. */
function revive({ file, ...automatic }) {
  const known = (value) => (value === null ? NaN : Array.isArray(value) ? value.map(known)
    : typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, known(item)])) : value);
  return {
    ...automatic,
    voxelMl: automatic.voxelMl ?? NaN,
    indicators: automatic.indicators.map(known),
    encodeMap: async (labels, text) => encodeMap(labels, { ...file, head: bytesOf(file.head) }, text),
  };
}

function fillLayers() {
  const layers = data.layers.map((name, n) => [`labels ${n}`, name]);
  for (let n = 1; n < data.layers.length; n++) layers.push([`difference ${n}`, `Difference to ${data.layers[n]}`]);
  if (data.disagreement) layers.push(["disagreement", "Disagreement"]);
  for (const [value, name] of [...layers, ["none", "Image only"]]) $("layer").add(new Option(name, value));
}

function tell(message) {
  parent.postMessage({ ctct: message }, "*");
}

/** What the page around the frame shows of an edited result. */
function tellResult({ measured, judgement, indices, edits }) {
  tell({
    edited: edits.changed,
    isUnsaved: edits.isUnsaved,
    verdict: judgement.verdict,
    reasons: judgement.flags.map((flag) => flag.reason),
    phases: measured.ed === null ? "" : `ED is frame ${measured.ed}, ES is frame ${measured.es}`,
    indices: measured.ed === null
      ? [["RV", 1], ["MYO", 2], ["LV", 3]].map(([name, s]) => [name, measured.volumesMl[0][s], ""]) : indices,
  });
}

async function start() {
  const maps = await unpackMaps();
  viewer = new Viewer((frame) => {
    viewer.moveHead?.(frame);
    editor?.onFrame();
  });
  fillLayers();
  viewer.show({
    ...data,
    rows,
    columns,
    maps,
    grayOf: (number, onReady) => channelOf(number, "red", onReady),
    disagreementOf: (number) => channelOf(number, "blue"),
    full: 255 * data.opaque_from,
  }, data);
  viewer.moveHead = drawCurve($("curve"), data);
  viewer.moveHead(viewer.frame);
  $("curve").toggleAttribute("hidden", data.frames < 3);
  followCurve(viewer, () => editor);
  new ResizeObserver(() => tell({ height: document.body.offsetHeight })).observe(document.body);
  $("edit").hidden = !data.edit && !data.too_large;
  if (data.too_large) $("edit").textContent = "Too large to edit here";
  if (!data.edit) return;
  await Promise.all(images.map((image) => image.decode()));
  editor = makeEditor(viewer, revive(data.edit), imageOf, tellResult);
  $("edit").disabled = false;
  $("edit").onclick = () => editor.open(!editor.isOpen);
}

start();
