// The header of a DICOM image, as far as the page needs it; see ctct/io/dicom/header.py.

import * as dicomParser from "dicom-parser";

/** Transfer syntaxes whose pixels are not compressed. */
const PLAIN_SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"];
const KINDS = {
  LOCALIZER: "localizer",
  ...Object.fromEntries(["P", "PHASE", "PHASE MAP", "VELOCITY", "VELOCITY MAP"].map((word) => [word, "phase map (flow)"])),
};
const TAGS = {
  ImageType: "x00080008", AcquisitionDateTime: "x0008002a", AcquisitionTime: "x00080032", ContentTime: "x00080033",
  Modality: "x00080060", SeriesDescription: "x0008103e", PatientName: "x00100010", PatientID: "x00100020",
  ScanningSequence: "x00180020", SliceThickness: "x00180050", EchoTime: "x00180081", InversionTime: "x00180082",
  SpacingBetweenSlices: "x00180088", ProtocolName: "x00181030", TriggerTime: "x00181060",
  CardiacNumberOfImages: "x00181090", ReconstructionDiameter: "x00181100", StudyInstanceUID: "x0020000d",
  SeriesInstanceUID: "x0020000e", SeriesNumber: "x00200011", InstanceNumber: "x00200013",
  ImagePositionPatient: "x00200032", ImageOrientationPatient: "x00200037", TemporalPositionIdentifier: "x00200100",
  NumberOfTemporalPositions: "x00200105", ImagesInAcquisition: "x00201002", PhotometricInterpretation: "x00280004",
  NumberOfFrames: "x00280008", PixelSpacing: "x00280030", RescaleIntercept: "x00281052", RescaleSlope: "x00281053",
};
const [SAMPLES, ROWS, COLUMNS, ALLOCATED, STORED, SIGNED, PADDING, PADDING_LIMIT, PIXELS, PER_FRAME] = [
  "x00280002", "x00280010", "x00280011", "x00280100", "x00280101", "x00280103", "x00280120", "x00280121",
  "x7fe00010", "x52009230"];

export const isDicom = (bytes) => bytes.length > 132 && String.fromCharCode(...bytes.subarray(128, 132)) === "DICM";

/** The header of an image; null of a file without one. Throws what dicom-parser throws. */
export function readHeader(bytes) {
  const data = dicomParser.parseDicom(bytes);
  const text = (name) => data.string(TAGS[name])?.trim() ?? "";
  const words = (name) => text(name).split("\\").map((word) => word.trim()).filter(Boolean);
  const numbers = (name, count) => {
    const found = words(name).map(Number);
    return found.length === count && found.every(Number.isFinite) ? found : null;
  };
  const number = (name) => numbers(name, 1)?.[0] ?? null;
  const rows = data.uint16(ROWS), columns = data.uint16(COLUMNS);
  if (!text("SeriesInstanceUID") || !rows || !columns) return null;
  const spacing = numbers("PixelSpacing", 2);
  const orientation = numbers("ImageOrientationPatient", 6);
  const photometric = text("PhotometricInterpretation");
  const isColor = !["", "MONOCHROME1", "MONOCHROME2"].includes(photometric) || (data.uint16(SAMPLES) ?? 1) !== 1;
  const kind = words("ImageType").map((word) => KINDS[word.toUpperCase()]).find(Boolean) ?? "";
  const image = {
    data, text, words, number,
    shape: [rows, columns],
    study: text("StudyInstanceUID"),
    patient: `${text("PatientID")}^${text("PatientName")}`.toLowerCase(),
    series: text("SeriesInstanceUID"),
    seriesNumber: number("SeriesNumber") ?? 0,
    instance: number("InstanceNumber") ?? 0,
    description: text("SeriesDescription"),
    modality: text("Modality"),
    kind: isColor ? "color image" : kind,
    spacingMm: spacing && Math.min(...spacing) > 0 ? spacing : null,
    orientation: orientation && isOrthonormal(orientation) ? orientation : null,
    position: numbers("ImagePositionPatient", 3),
    phases: Math.max(number("CardiacNumberOfImages") ?? 0, number("NumberOfTemporalPositions") ?? 0, 0),
    images: Math.max(number("ImagesInAcquisition") ?? 0, 0),
  };
  image.missing = [["spacingMm", "PixelSpacing"], ["orientation", "ImageOrientationPatient"],
    ["position", "ImagePositionPatient"]].find(([key]) => !image[key])?.[1] ?? "";
  // Some anonymizers leave a frame without content.
  const frames = data.elements[PER_FRAME]?.items?.filter(({ dataSet }) => Object.keys(dataSet?.elements ?? {}).length) ?? [];
  image.obstacle = frames.length || (number("NumberOfFrames") ?? 1) > 1 ? "it is enhanced multi-frame DICOM"
    : PLAIN_SYNTAXES.includes(data.string("x00020010")?.trim()) ? "" : "its pixels are compressed";
  return image;
}

function isOrthonormal([a, b, c, d, e, f]) {
  const near = (value, expected) => Math.abs(value - expected) <= 0.01;
  return near(a * a + b * b + c * c, 1) && near(d * d + e * e + f * f, 1) && near(a * d + b * e + c * f, 0);
}

/** The gray values of an image, which grow with the brightness, rescaled; see ctct/io/dicom/pixels.py. */
export function readPixels(image) {
  const { data, shape } = image;
  const count = shape[0] * shape[1], bits = data.uint16(ALLOCATED), isSigned = data.uint16(SIGNED) === 1;
  const element = data.elements[PIXELS];
  const Stored = { 8: isSigned ? Int8Array : Uint8Array, 16: isSigned ? Int16Array : Uint16Array,
    32: isSigned ? Int32Array : Uint32Array }[bits];
  if (!element || !Stored || element.length < (count * bits) / 8) return null;
  const from = data.byteArray.byteOffset + element.dataOffset;
  const stored = new Stored(data.byteArray.buffer.slice(from, from + (count * bits) / 8));
  const depth = data.uint16(STORED) ?? bits;
  const lowest = isSigned ? -(2 ** (depth - 1)) : 0, highest = lowest + 2 ** depth - 1;
  const wrap = (value) => lowest + ((((value - lowest) % 2 ** depth) + 2 ** depth) % 2 ** depth);
  const padding = [PADDING, PADDING_LIMIT].map((tag) => data.uint16(tag)).filter((value) => value !== undefined).map(wrap);
  const isInverted = image.text("PhotometricInterpretation") === "MONOCHROME1";
  const pixels = Float64Array.from(stored, (value) => (isInverted ? lowest + highest - value : value));
  if (padding.length) {
    const [low, high] = [Math.min(...padding), Math.max(...padding)];
    let darkest = highest;
    const isImage = Array.from(stored, (value) => value < low || value > high);
    pixels.forEach((value, n) => { if (isImage[n] && value < darkest) darkest = value; });
    if (isImage.includes(true)) pixels.forEach((_, n) => { if (!isImage[n]) pixels[n] = darkest; });
  }
  const slope = Math.fround(image.number("RescaleSlope") ?? 1);
  const intercept = Math.fround(image.number("RescaleIntercept") ?? 0);
  return Float32Array.from(pixels, (value) => Math.fround(Math.fround(Math.fround(value) * slope) + intercept));
}
