// NIfTI-1 and NIfTI-2: read as ctct/io/nifti.py and nifti_geometry.py do, label maps written back.

import { Layout, product } from "./arrays.js";
import { InputError } from "./errors.js";
import { general } from "./numbers.js";
import { checkSize, MAX_SLICE_MM, Study } from "./study.js";
import { cross, dot, norm } from "./vectors.js";

/** Where both headers hold their fields: offset and type, as the methods of DataView name it. */
const FIELDS = {
  348: {
    dim: [40, "Int16"], datatype: [70, "Int16"], bitpix: [72, "Int16"], pixdim: [76, "Float32"],
    offset: [108, "Float32"], slope: [112, "Float32"], inter: [116, "Float32"], units: [123, "Uint8"],
    calMax: [124, "Float32"], calMin: [128, "Float32"], qformCode: [252, "Int16"], sformCode: [254, "Int16"],
    quatern: [256, "Float32"], qoffset: [268, "Float32"], srow: [280, "Float32"],
    texts: [[4, 10], [14, 18], [148, 80], [228, 24], [328, 16]],
  },
  540: {
    dim: [16, "BigInt64"], datatype: [12, "Int16"], bitpix: [14, "Int16"], pixdim: [104, "Float64"],
    offset: [168, "BigInt64"], slope: [176, "Float64"], inter: [184, "Float64"], units: [500, "Int32"],
    calMax: [192, "Float64"], calMin: [200, "Float64"], qformCode: [344, "Int32"], sformCode: [348, "Int32"],
    quatern: [352, "Float64"], qoffset: [376, "Float64"], srow: [400, "Float64"],
    texts: [[240, 80], [320, 24], [508, 16], [525, 15]],
  },
};
const BYTES = { Uint8: 1, Int16: 2, Int32: 4, Float32: 4, Float64: 8, BigInt64: 8 };
/** Type of the voxels by code. */
const TYPES = {
  2: "Uint8", 4: "Int16", 8: "Int32", 16: "Float32", 64: "Float64",
  256: "Int8", 512: "Uint16", 768: "Uint32", 1024: "BigInt64", 1280: "BigUint64",
};
const UINT8 = 2;
const TO_MM = { 1: 1000, 3: 0.001 };
const ROUNDING = 0.005;
const MAX_TURN = Math.PI / 4;
const MAX_SKEW_DEG = 2;

/** The fields of a header, read and written in its byte order. */
class Header {
  constructor(bytes, size, isLittle) {
    Object.assign(this, { size, isLittle, bytes: bytes.slice(0, size) });
    this._view = new DataView(this.bytes.buffer);
    this._fields = FIELDS[size];
  }

  get(name, n = 0) {
    const [offset, type] = this._fields[name];
    return Number(this._view[`get${type}`](offset + n * BYTES[type], this.isLittle));
  }

  set(name, value, n = 0) {
    const [offset, type] = this._fields[name];
    const stored = type.startsWith("Big") ? BigInt(value) : value;
    this._view[`set${type}`](offset + n * BYTES[type], stored, this.isLittle);
  }

  list(name, count, first = 0) {
    return Array.from({ length: count }, (_, n) => this.get(name, first + n));
  }

  /** A copy without the texts, which may hold names and dates. */
  withoutTexts() {
    const copy = new Header(this.bytes, this.size, this.isLittle);
    for (const [offset, length] of this._fields.texts) copy.bytes.fill(0, offset, offset + length);
    return copy;
  }
}

/** The number of bytes that a file must have, from its first ones; 0 if it is not NIfTI. */
export function promisedBytes(head) {
  const header = readHeader(head);
  if (!header) return 0;
  const shape = header.list("dim", header.get("dim"), 1);
  checkSize(shape);
  return header.get("offset") + product(shape) * (header.get("bitpix") / 8);
}

function readHeader(bytes) {
  if (bytes.length < 4) return null;
  for (const size of [348, 540])
    for (const isLittle of [true, false]) {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      if (view.getInt32(0, isLittle) !== size) continue;
      if (bytes.length < size) throw new InputError(`truncated, ${bytes.length} bytes; copy or download it again`);
      const header = new Header(bytes, size, isLittle);
      const dim = header.list("dim", 8);
      if (!(dim[0] >= 1 && dim[0] <= 7) || Math.min(...dim.slice(1, dim[0] + 1)) < 1)
        throw new InputError(`the header gives dim ${dim.join(" ")}; write the file again`);
      if (!(header.get("offset") >= size)) throw new InputError("voxels start within the header; write it again");
      return header;
    }
  return null;
}

/** Read a NIfTI file of two, three or four dimensions. */
export function readNifti(bytes, name) {
  const header = readHeader(bytes);
  if (!header) throw new InputError("not a NIfTI file; convert the scan to NIfTI");
  const dims = header.list("dim", header.get("dim"), 1);
  const type = TYPES[header.get("datatype")];
  if (!type) throw new InputError("voxels are colors or complex numbers; convert to one gray value per voxel");
  if (dims.length < 2 || dims.slice(4).some((n) => n !== 1))
    throw new InputError(`the image is ${dims.length}-D; expected column, row, slice and frame`);
  checkSize(dims);
  const array = readVoxels(bytes, header, type, product(dims));
  const size = [...dims, 1, 1, 1].slice(0, 4); // (x, y, z, t), any of the first three the slice axis
  const geometry = findGeometry(header, dims);
  const sizesMm = [...geometry.voxelMm];
  if (dims.length === 2 || (size[2] === 1 && header.get("pixdim", 3) === 0)) sizesMm[2] = NaN;
  const sliceAxis = size[2] === 1 ? 2 : findSliceAxis(sizesMm);
  const [column, row] = [0, 1, 2].filter((axis) => axis !== sliceAxis);
  const strides = [1, size[0], size[0] * size[1]];
  const layout = new Layout(
    [size[3], size[sliceAxis], size[row], size[column]],
    [product(size.slice(0, 3)), strides[sliceAxis], strides[row], strides[column]],
  );
  const affine = geometry.affine.map((line) => [line[column], line[row], line[sliceAxis], line[3]]);
  return new Study({
    name,
    voxels: layout.gather(array),
    shape: layout.size,
    spacingMm: [sizesMm[row], sizesMm[column]],
    sliceSpacingMm: sizesMm[sliceAxis],
    affine,
    notes: [...geometry.notes, ...noteSkew(...axesOf(affine))],
    encodeLabels: (labels) => encodeLabels(header, layout.scatter(labels)),
  });
}

function readVoxels(bytes, header, type, count) {
  const offset = header.get("offset");
  const each = Number(type.match(/\d+/)[0]) / 8;
  if (bytes.length < offset + count * each)
    throw new InputError(`truncated, ${bytes.length} of ${offset + count * each} bytes; copy or download it again`);
  const Stored = globalThis[`${type}Array`];
  const packed = bytes.slice(offset, offset + count * each);
  if (!header.isLittle && each > 1)
    for (let at = 0; at < packed.length; at += each) packed.subarray(at, at + each).reverse();
  const stored = new Stored(packed.buffer);
  const [slope, inter] = [header.get("slope"), header.get("inter")];
  const isScaled = Number.isFinite(slope) && slope !== 0;
  if (isScaled && !Number.isFinite(inter)) throw new InputError("scl_inter is no number; write the file again");
  if (isScaled && (slope !== 1 || inter !== 0))
    return Float32Array.from(stored, (value) => Number(value) * slope + inter);
  return type.startsWith("Big") ? Float32Array.from(stored, Number) : Float32Array.from(stored);
}

/** A label map in the geometry of the file. */
function encodeLabels(header, labels) {
  const own = header.withoutTexts();
  own.set("datatype", UINT8);
  own.set("bitpix", 8);
  own.set("slope", 1);
  own.set("inter", 0);
  own.set("calMin", 0);
  own.set("calMax", 0);
  own.set("offset", own.size + 4);
  const file = new Uint8Array(own.size + 4 + labels.length); // four zeros: no extension follows
  file.set(own.bytes);
  file.set(labels, own.size + 4);
  return file;
}

/** A label map (T, Z, H, W) in a new file, from an affine and voxel sizes (column, row, slice, s). */
export function encodeNewLabels(labels, [frames, slices, rows, columns], affine, zooms) {
  const header = new Header(new Uint8Array(348), 348, true);
  new DataView(header.bytes.buffer).setInt32(0, 348, true);
  const dims = [columns, rows, slices, ...(frames > 1 ? [frames] : [])];
  [dims.length, ...dims, 1, 1, 1, 1].slice(0, 8).forEach((n, at) => header.set("dim", n, at));
  const rotation = rotationOf(affine);
  [rotation.handedness, ...zooms.slice(0, dims.length)].forEach((mm, at) => header.set("pixdim", mm, at));
  header.set("units", 2 + 8); // millimeters, seconds
  header.set("qformCode", 1);
  header.set("sformCode", 1);
  rotation.quaternion.forEach((value, n) => header.set("quatern", value, n));
  affine.forEach((line, n) => {
    header.set("qoffset", line[3], n);
    line.forEach((value, at) => header.set("srow", value, 4 * n + at));
  });
  header.bytes.set([0x6e, 0x2b, 0x31, 0], 344); // n+1
  return encodeLabels(header, labels);
}

/** Quaternion (b, c, d) of the directions of columns and rows, and on which side the slices lie. */
function rotationOf(affine) {
  const [columns, down, through] = axesOf(affine);
  const x = columns.map((value) => value / norm(columns));
  const rest = down.map((value, n) => value - dot(down, x) * x[n]);
  const y = rest.map((value) => value / norm(rest));
  const z = cross(x, y);
  const square = [1 + x[0] + y[1] + z[2], 1 + x[0] - y[1] - z[2], 1 - x[0] + y[1] - z[2], 1 - x[0] - y[1] + z[2]];
  const sign = (value) => (value < 0 ? -1 : 1);
  const [a, b, c, d] = square.map((value) => Math.sqrt(Math.max(value, 0)) / 2);
  let quaternion = [b * sign(y[2] - z[1]), c * sign(z[0] - x[2]), d * sign(x[1] - y[0])];
  if (a < 1e-6) // half a turn: the signs are those of products
    quaternion = b >= c && b >= d ? [b, c * sign(x[1] + y[0]), d * sign(x[2] + z[0])]
      : c >= d ? [b * sign(x[1] + y[0]), c, d * sign(y[2] + z[1])]
      : [b * sign(x[2] + z[0]), c * sign(y[2] + z[1]), d];
  return { quaternion, handedness: dot(z, through) < 0 ? -1 : 1 };
}

const axesOf = (affine) => [0, 1, 2].map((axis) => affine.map((line) => line[axis]));

/** {affine, voxelMm, notes} by the form that holds. */
function findGeometry(header, shape) {
  const axes = [0, 1, 2].filter((axis) => axis < shape.length && (shape[axis] > 1 || axis < 2));
  const toMm = TO_MM[header.get("units") % 8] ?? 1;
  const pixdimMm = header.list("pixdim", 3, 1).map((size) => Math.abs(size) * toMm);
  const { name, affine, notes } = findForm(header, shape);
  for (const line of affine) line.forEach((value, n) => { line[n] = value * toMm; });
  if (!name) return { affine, voxelMm: pixdimMm, notes };
  const agree = (a, b) => axes.every((n) => Math.abs(a[n] - b[n]) <= 1e-8 + ROUNDING * Math.abs(b[n]));
  const lengthsMm = axesOf(affine).map(norm);
  let formMm = measureAlongNormal(affine, lengthsMm, shape);
  if (agree(formMm, pixdimMm)) {
    formMm = pixdimMm;
  } else if (agree(lengthsMm, [toMm, toMm, toMm])) {
    formMm = pixdimMm;
    for (const line of affine) for (const n of axes) line[n] *= pixdimMm[n] / lengthsMm[n];
  } else if (!agree(lengthsMm, pixdimMm)) {
    const show = (sizes) => axes.map((n) => general(sizes[n], 4)).join("×");
    notes.push(`the header contradicts itself: voxels of ${show(pixdimMm)} mm by pixdim, of ${show(formMm)} mm `
      + `by the ${name}, which is used`);
  }
  if (name === "sform" && header.get("qformCode") > 0 && isTurned(header, affine))
    notes.push("sform and qform give the image different directions, those of the sform hold");
  return { affine, voxelMm: formMm, notes };
}

function findForm(header, shape) {
  const notes = [];
  const long = [0, 1, 2].filter((n) => shape[n] > 1);
  for (const [name, read] of [["sform", readSform], ["qform", readQform]]) {
    if (header.get(`${name}Code`) <= 0) continue;
    const affine = read(header);
    const isUsable = affine.flat().every(Number.isFinite) && long.every((n) => affine.some((line) => line[n]));
    if (isUsable) return { name, affine, notes };
    notes.push(`the ${name} in the header is impossible and not used`);
  }
  const sizes = header.list("pixdim", 3, 1).map((size) => Math.abs(size) || 1);
  const affine = [[-sizes[0], 0, 0, 0], [0, sizes[1], 0, 0], [0, 0, sizes[2], 0]];
  return { name: "", affine, notes };
}

const readSform = (header) => [0, 1, 2].map((n) => header.list("srow", 4, 4 * n));

function readQform(header) {
  const [b, c, d] = header.list("quatern", 3);
  const rest = 1 - (b * b + c * c + d * d);
  const isZero = Math.abs(rest) < 3 * 2 ** -23;
  if (rest < 0 && !isZero) throw new InputError("the qform of the header is damaged; write the file again");
  const a = isZero ? 0 : Math.sqrt(rest);
  const twice = 2 / (a * a + b * b + c * c + d * d);
  const rotation = [
    [1 - twice * (c * c + d * d), twice * (b * c - a * d), twice * (b * d + a * c)],
    [twice * (b * c + a * d), 1 - twice * (b * b + d * d), twice * (c * d - a * b)],
    [twice * (b * d - a * c), twice * (c * d + a * b), 1 - twice * (b * b + c * c)],
  ];
  const sizes = header.list("pixdim", 3, 1).map((size) => Math.abs(size) || 1);
  if (header.get("pixdim") === -1) sizes[2] = -sizes[2];
  return rotation.map((line, n) => [...line.map((value, at) => value * sizes[at]), header.get("qoffset", n)]);
}

function isTurned(header, affine) {
  let turned;
  try {
    turned = axesOf(readQform(header));
  } catch {
    return false; // a damaged qform says nothing
  }
  return axesOf(affine).some((axis, n) => {
    const lengths = norm(axis) * norm(turned[n]);
    return lengths > 0 && dot(axis, turned[n]) / lengths < Math.cos(MAX_TURN);
  });
}

/** The lengths, but of the slice axis along the normal: in a sheared stack it is oblique. */
function measureAlongNormal(affine, lengthsMm, shape) {
  const axis = findSliceAxis(lengthsMm);
  if (shape.length <= 2 || !(shape[axis] > 1)) return lengthsMm;
  const axes = axesOf(affine);
  const normal = cross(...axes.filter((_, n) => n !== axis));
  if (!norm(normal)) return lengthsMm;
  return lengthsMm.map((mm, n) => (n === axis ? Math.abs(dot(axes[axis], normal)) / norm(normal) : mm));
}

/** The axis with a spacing at least 1.5 times that of both others, or else the third. */
function findSliceAxis(sizesMm) {
  const sizes = sizesMm.map((mm) => (Number.isNaN(mm) ? 0 : mm));
  const widest = sizes.indexOf(Math.max(...sizes));
  const others = Math.max(...sizes.filter((_, n) => n !== widest));
  return 1.5 * others <= sizes[widest] && sizes[widest] <= MAX_SLICE_MM ? widest : 2;
}

function noteSkew(row, column) {
  const angle = (Math.atan2(norm(cross(row, column)), Math.abs(dot(row, column))) * 180) / Math.PI;
  if (angle >= 90 - MAX_SKEW_DEG) return [];
  return [`rows and columns of pixels are not at right angles (${angle.toFixed(0)}°); the area of a pixel is not `
    + "known for sure; resample the scan"];
}
