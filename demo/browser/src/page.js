// Drops, progress and results of the page.

import { drawCurve } from "./curve.js";
import { followCurve, makeEditor } from "./editing.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
/** A module with one instruction of WebAssembly SIMD. */
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15,
  253, 98, 11];
const BUSY = "A scan is being segmented: wait until it is done, or press Cancel, then drop the next one.";

let worker = null;
let isBusy = false;
let [editor, editedMap] = [null, () => {}];
const viewer = new Viewer((frame) => {
  viewer.moveHead?.(frame);
  editor?.onFrame();
});
const LOSS = "Edited contours are not saved. Leave them?";
const isUnsaved = () => Boolean(editor?.edits.isUnsaved);

function start() {
  const missing = findMissing();
  if (missing) {
    say(missing, true);
    return;
  }
  $("message").hidden = true;
  $("input").hidden = false;
  $("choose-files").onchange = (event) => takeChosen(event.target);
  $("choose-folder").onchange = (event) => takeChosen(event.target);
  $("sample").onclick = takeSample;
  $("cancel").onclick = cancel;
  $("edit").onclick = () => editor.open(!editor.isOpen);
  followCurve(viewer, () => editor);
  addEventListener("beforeunload", (event) => { if (isUnsaved()) event.preventDefault(); });
  document.addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    take(await filesOf(event.dataTransfer));
  });
}

/** Why this browser cannot run the page; "" if it can. */
function findMissing() {
  const remedy = "open the page in a current Chrome, Edge, Firefox or Safari.";
  if (typeof WebAssembly === "undefined") return `This browser runs no WebAssembly; ${remedy}`;
  if (!WebAssembly.validate(new Uint8Array(SIMD))) return `This browser has no WebAssembly SIMD; ${remedy}`;
  if (typeof DecompressionStream === "undefined" || typeof Worker === "undefined")
    return `This browser is too old for this page; ${remedy}`;
  return "";
}

function takeChosen(input) {
  const files = Array.from(input.files, (file) => ({ name: file.webkitRelativePath || file.name, file }));
  input.value = ""; // the same file can be chosen again
  if (files.length) take(files);
}

async function takeSample() {
  try {
    const response = await fetch("sample.nii.gz");
    if (!response.ok) throw new Error(response.status);
    take([{ name: "sample.nii.gz", file: await response.blob() }]);
  } catch {
    say("The sample could not be loaded: check the connection and try again.", true);
  }
}

/** The files of a drop, those in folders too. */
async function filesOf(transfer) {
  const entries = Array.from(transfer.items ?? [], (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Array.from(transfer.files, (file) => ({ name: file.name, file }));
  const files = [];
  for (const entry of entries) await collect(entry, files).catch(() => {});
  return files;
}

async function collect(entry, files) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    files.push({ name: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = entry.createReader();
  for (;;) { // a hundred at a time
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return;
    for (const child of part) await collect(child, files);
  }
}

function take(files) {
  if (isBusy) {
    say(BUSY, true);
    return;
  }
  if (isUnsaved() && !confirm(LOSS)) return;
  editor?.end();
  editor = null;
  isBusy = true;
  $("message").hidden = true;
  $("result").hidden = true;
  $("progress").hidden = false;
  progress({ stage: "reading the scan", share: null });
  worker ??= makeWorker();
  worker.postMessage({ files });
}

function makeWorker() {
  const made = new Worker("worker.js", { type: "module" });
  made.onmessage = ({ data }) => {
    if (data.result) show(data.result);
    else if (data.map) editedMap(data.map);
    else if (data.error) finish(data.error);
    else progress(data);
  };
  made.onerror = () => {
    worker = null;
    finish("The page could not load all of its files: check the connection and drop the scan again.");
  };
  return made;
}

function cancel() {
  worker?.terminate();
  worker = null;
  finish("Cancelled.");
}

function finish(message) {
  isBusy = false;
  $("progress").hidden = true;
  if (message) say(message, true);
}

function say(text, isAlert) {
  $("message").textContent = text;
  $("message").setAttribute("role", isAlert ? "alert" : "status");
  $("message").hidden = false;
}

function progress({ stage, share }) {
  $("stage").textContent = share === null ? `${stage} …` : `${stage}, ${Math.floor(100 * share)} %`;
  if (share === null) $("bar").removeAttribute("value");
  else $("bar").value = share;
}

function show({ name, measured, judgement, indicators, flags, known, picture, file, seconds, runtime }) {
  finish("");
  $("message").hidden = true;
  $("result").hidden = false;
  $("name").textContent = name;
  fillAnswers({ measured, judgement });
  URL.revokeObjectURL($("download").href);
  $("download").href = URL.createObjectURL(file);
  $("download").download = `${name}_seg.nii.gz`;
  const { frames, slices } = picture;
  $("times").textContent = `${frames} × ${slices} slices in ${seconds.total.toFixed(1)} s, of which segmenting `
    + `${seconds.segmenting.toFixed(1)} s, with ${runtime} in this browser.`;
  $("curve").toggleAttribute("hidden", measured.ed === null);
  const { gray, labels, rows, columns } = picture;
  const ofSlices = (number, count) => gray.subarray(number * rows * columns, (number + count) * rows * columns);
  viewer.moveHead = drawCurve($("curve"), measured);
  viewer.show({ ...picture, maps: [labels], grayOf: (number) => ofSlices(number, 1) }, measured);
  const automatic = { ...known, name, indicators, imageFlags: flags, warnings: [],
    derived: [], ranges: {}, encodeMap };
  editor = makeEditor(viewer, automatic, (frame) => ofSlices(frame * slices, slices), fillAnswers);
}

/** The label map of edited labels; the worker has the scan's header. */
function encodeMap(labels, text) {
  return new Promise((resolve, reject) => {
    if (!worker) throw new Error("the scan is no longer there");
    editedMap = resolve;
    worker.addEventListener("error", reject, { once: true });
    worker.postMessage({ edited: { labels, text } });
  });
}

function fillAnswers({ measured, judgement }) {
  $("verdict").textContent = judgement.verdict;
  $("verdict").className = `badge ${judgement.verdict}`;
  $("phases").textContent = measured.ed === null ? "A single frame."
    : `ED is frame ${measured.ed}, ES frame ${measured.es}.`;
  const reasons = judgement.flags.length ? judgement.flags.map((flag) => flag.reason) : ["No flag was raised."];
  $("flags").replaceChildren(...reasons.map((reason) => item("li", reason)));
  fillTable(measured);
}

function fillTable({ indices, volumesMl }) {
  const rows = Object.keys(indices).length
    ? ["EDV (mL)", "ESV (mL)", "SV (mL)", "EF (%)"].map((index) => [index, indices[`LV${index}`], indices[`RV${index}`]])
      .concat([["LV mass (g)", indices["LVM (g)"], null]])
    : [["volume (mL)", volumesMl[0][3], volumesMl[0][1]]];
  $("indices").replaceChildren(...rows.map(([name, ...values]) => {
    const row = document.createElement("tr"), head = item("th", name);
    head.scope = "row";
    row.append(head, ...values.map((value) =>
      item("td", value === null ? "" : Number.isFinite(value) ? value.toFixed(1) : "–")));
    return row;
  }));
}

function item(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

start();
