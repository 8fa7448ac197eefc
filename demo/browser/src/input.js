// From the files that were dropped to a study.

import { readDicom, isDicom } from "./dicom.js";
import { InputError } from "./errors.js";
import { joinNames } from "./frame_names.js";
import { encodeNewLabels, promisedBytes, readNifti } from "./nifti.js";
import { noteName } from "./sequences.js";
import { checkSize, MAX_VOXELS, Study } from "./study.js";
import { unzipChecked } from "./zip.js";

const MAX_BYTES = 4 * MAX_VOXELS;
const HEAD_BYTES = 540;
const EXPECTED = "expected NIfTI (.nii, .nii.gz), or a folder or zip of DICOM";
const IS_NIFTI = /\.nii(\.gz)?$/i;
const IS_LABEL_MAP = /_(gt|seg|label|mask)\.nii(\.gz)?$/i;
const SAME_PLACE_MM = 0.5;
/** Formats that ctct reads elsewhere, by the ending of a file. */
const OTHER_FORMATS = { mha: "MetaImage", mhd: "MetaImage", nrrd: "NRRD", nhdr: "NRRD" };

/** Read the files of one scan: [{name, file}], `file` a Blob. */
export async function readScan(files) {
  if (!files.length) throw new InputError(`no file was given; ${EXPECTED}`);
  const read = files.length === 1 ? await readFile(files[0]) : await readFolder(files);
  read.notes.push(...noteName(read.name));
  return read;
}

async function readFile({ name, file }) {
  if (!file.size) throw new InputError("the file is empty; copy or download it again");
  const head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  const starts = (...bytes) => bytes.every((byte, n) => head[n] === byte);
  if (starts(0x1f, 0x8b)) return readNifti(await gunzip(file), stem(name));
  if (starts(0x50, 0x4b)) return readZip(file, name);
  refuseOtherFormats([name]);
  if (promisedBytes(head)) return readNifti(await bytesOf(file), stem(name));
  const bytes = await bytesOf(file);
  if (isDicom(bytes)) return readDicom([{ name, bytes }], name);
  throw new InputError(`not a scan that this page reads; ${EXPECTED}`);
}

/** Refuse a scan in a format that this page does not read, with what to do. */
function refuseOtherFormats(names) {
  for (const name of names) {
    const format = OTHER_FORMATS[name.split(".").pop().toLowerCase()];
    if (format)
      throw new InputError(`${format} files are not read by this page; use ctct predict, which reads them, or convert the `
        + "scan to NIfTI");
  }
}

/** The only scan among NIfTI files [{name, file}], or the frames of one; label maps beside it are left out. */
async function readOnlyNifti(files) {
  const scans = files.filter(({ name }) => !IS_LABEL_MAP.test(name));
  const candidates = (scans.length ? scans : files).map(({ name, file }) => ({ name: name.split("/").pop(), file }));
  if (candidates.length === 1) return readFile(candidates[0]);
  const joined = joinNames(candidates.map(({ name }) => stem(name)));
  if (joined) return joinFrames(joined, await Promise.all(joined.order.map((n) => readFile(candidates[n]))));
  const names = candidates.slice(0, 3).map(({ name }) => name);
  throw new InputError(`several NIfTI files (${names.join(", ")}${candidates.length > 3 ? ", …" : ""}); drop one scan at a `
    + "time, all frames of a cine in one file, or ED and ES in files whose names end in _ED and _ES");
}

/** One study of frames that are files of their own, as ED and ES. */
function joinFrames({ patient, given }, studies) {
  const [first] = studies;
  for (const other of studies) {
    const isAlike = other.shape.slice(1).every((n, axis) => n === first.shape[axis + 1])
      && other.affine.flat().every((mm, n) => Math.abs(mm - first.affine.flat()[n]) <= SAME_PLACE_MM);
    if (!isAlike) throw new InputError(`${first.name} and ${other.name} differ in size or place; give frames of one scan`);
    if (other.shape[0] > 1) throw new InputError(`${other.name}: holds ${other.shape[0]} frames; drop it by itself`);
  }
  const shape = [studies.length, ...first.shape.slice(1)];
  checkSize(shape);
  const voxels = new Float32Array(studies.length * first.voxels.length);
  studies.forEach((study, t) => voxels.set(study.voxels, t * first.voxels.length));
  const zooms = [first.spacingMm[1], first.spacingMm[0], first.sliceSpacingMm, 0];
  const [frames, slices, rows, columns] = shape;
  return Object.assign(new Study({
    ...first,
    name: patient,
    voxels,
    shape,
    notes: [...new Set(studies.flatMap((study) => study.notes))],
    encodeLabels: (labels) => encodeNewLabels(labels, [frames, slices, rows, columns], first.affine, zooms),
  }), { given });
}

const stem = (name) => name.replace(/(\.nii)?\.gz$|\.nii$/i, "");

async function bytesOf(file) {
  if (file.size > MAX_BYTES)
    throw new InputError(`the file has ${Math.round(file.size / 2 ** 20)} MB, the limit is ${MAX_BYTES / 2 ** 20} `
      + "MB; use ctct predict");
  return new Uint8Array(await file.arrayBuffer());
}

/** The content of a gzip file, no more than its NIfTI header promises. */
async function gunzip(file) {
  const reader = file.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  let bytes = new Uint8Array(0);
  let promised = 0;
  let length = 0;
  const append = (part) => {
    if (length + part.length > bytes.length) {
      const larger = new Uint8Array(Math.max(promised, length + part.length));
      larger.set(bytes.subarray(0, length));
      bytes = larger;
    }
    bytes.set(part, length);
    length += part.length;
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!promised || length < promised) append(promised ? value.subarray(0, promised - length) : value);
      if (!promised && length >= HEAD_BYTES) {
        promised = promisedBytes(bytes.subarray(0, length));
        if (!promised) throw new InputError(`the compressed file is not NIfTI; ${EXPECTED}`);
      }
    }
  } catch (error) {
    if (error instanceof InputError || error instanceof RangeError) throw error;
    throw new InputError("the compressed file is damaged; copy or download it again");
  } finally {
    reader.cancel().catch(() => {});
  }
  return bytes.subarray(0, length);
}

/** A zip of DICOM, or of one NIfTI file, unpacked no further than the limit. */
async function readZip(file, name) {
  const bytes = await bytesOf(file);
  let total = 0;
  const isFile = (entry) => !entry.name.endsWith("/") && !/(^|\/)(__MACOSX\/|\._)/.test(entry.name);
  const filter = (entry) => {
    total += isFile(entry) ? entry.originalSize : 0;
    return total <= MAX_BYTES && isFile(entry);
  };
  const entries = await unzipChecked(bytes, filter).catch((error) => {
    if (error instanceof RangeError) throw error;
    throw new InputError("the zip is damaged or encrypted; zip the folder again");
  });
  if (total > MAX_BYTES)
    throw new InputError(`the zip unpacks to more than ${MAX_BYTES / 2 ** 20} MB; zip one series, or use ctct predict`);
  const nifti = Object.keys(entries).filter((path) => IS_NIFTI.test(path));
  if (nifti.length) return readOnlyNifti(nifti.map((path) => ({ name: path, file: new Blob([entries[path]]) })));
  refuseOtherFormats(Object.keys(entries));
  return readDicom(Object.entries(entries).map(([path, content]) => ({ name: path, bytes: content })), name);
}

async function readFolder(files) {
  if (files.reduce((sum, { file }) => sum + file.size, 0) > MAX_BYTES)
    throw new InputError(`the folder has more than ${MAX_BYTES / 2 ** 20} MB; drop one series, or use ctct predict`);
  const nifti = files.filter(({ name }) => IS_NIFTI.test(name));
  if (nifti.length) return readOnlyNifti(nifti);
  refuseOtherFormats(files.map(({ name }) => name));
  const read = [];
  for (const { name, file } of files) read.push({ name, bytes: new Uint8Array(await file.arrayBuffer()) });
  return readDicom(read, files[0].name.split("/")[0]);
}
