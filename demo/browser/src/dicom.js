// A short-axis cine among DICOM files. Of the rules of ctct/io/dicom, those for a regular export are
// here: one that lacks images, or leaves a choice, is refused.

import { product, range } from "./arrays.js";
import { isDicom, readHeader, readPixels } from "./dicom_header.js";
import { InputError } from "./errors.js";
import { fixed, general, mean, median } from "./numbers.js";
import { encodeNewLabels } from "./nifti.js";
import { LONG_AXIS, MAX_DEGREES } from "./orientation.js";
import { describeName, OTHER } from "./sequences.js";
import { checkSize, Study } from "./study.js";
import { cross, dot, minus, norm, times, unit } from "./vectors.js";

export { isDicom };

const [MIN_SLICES, MIN_PHASES] = [5, 6];
const SAME_SLICE_MM = 0.5;
const [SAME_DIRECTION, SAME_SPACING] = [0.01, 0.002];
const MAX_GAP_DEVIATION = 0.2;
const DOUBTFUL_GAP = 0.7;
const MAX_NAMED_DEGREES = 60;
const PARALLEL_DEGREES = 15;
const TOLERANCE = 0.05;
const MAX_ECHO_MS = 10;
const ELSEWHERE = "ctct demo and ctct predict read more";
const AGAIN = "export the whole series again";

const SHORT_AXIS = new RegExp("(?<![a-z])(sax?|sh(ort)? ?ax(is|e)?|kurz(e )?achse|petit axe|eje corto|asse corto|"
  + "eixo curto|korte as)(?![a-z])|短[轴軸]", "g");
const LONG_AXIS_VIEW = new RegExp("(?<![a-z])(lax|long ?ax(is|e)?|lang(e )?achse|grand axe|eje largo|asse lungo|"
  + "eixo longo|lange as|[vh]la|lvot|([234]|two|three|four) ?(ch|chambers?|kammer|cv|cav\\w*|cam\\w*))(?![a-z])|长轴|長軸");
const OTHER_VIEW = new RegExp("(?<![a-z])(rvot|rvla|aorta|ax|axial|tra|trans|transvers\\w*|cor|coronal\\w*|sag|"
  + "sagittal\\w*)(?![a-z])");

/** The short-axis cine in files [{name, bytes}] as a study. */
export function readDicom(files, source) {
  const images = [];
  let unreadable = 0;
  for (const { bytes } of files) {
    if (!isDicom(bytes)) continue;
    try {
      const image = readHeader(bytes);
      if (image) images.push(image);
    } catch {
      unreadable++;
    }
  }
  if (!images.length)
    throw new InputError(unreadable ? `none of its ${unreadable} DICOM files can be read; copy them again`
      : "holds no DICOM image; drop a NIfTI file, or a folder or zip of DICOM");
  if (files.length === 1 && images.length === 1 && !images[0].obstacle)
    throw new InputError("one DICOM image of many; drop all images of the cine together, or their folder or a zip of it");
  const all = joinSlices(groupImages(images));
  const chosen = chooseSeries(all);
  const notes = [...noteLosses(chosen, images)];
  if (unreadable) notes.unshift(`files that are missing or cannot be read: ${unreadable}; copy them again`);
  const phases = arrange(chosen, notes);
  return toStudy(chosen, phases, [...notes, ...noteView(chosen, all), ...noteContinuations(chosen, all)], source);
}

/** Images of one patient, series, geometry and kind. */
class Series {
  constructor(images) {
    this.images = images;
    this.first = images[0];
    const [along, down] = [this.first.orientation?.slice(0, 3) ?? [1, 0, 0], this.first.orientation?.slice(3) ?? [0, 1, 0]];
    Object.assign(this, { along, down, normal: unit(cross(along, down)) });
    this.slices = this.first.missing ? [] : this._findSlices();
    this.positionsMm = this.slices.map((slice) => this._place(slice[0]));
    const counts = this.slices.map((slice) => slice.length);
    const howOften = (n) => counts.filter((other) => other === n).length;
    this.phases = counts.reduce((best, n) =>
      (howOften(n) > howOften(best) || (howOften(n) === howOften(best) && n > best) ? n : best), 0);
  }

  _place(image) {
    return dot(this.normal, image.position);
  }

  _findSlices() {
    const sorted = [...this.images].sort((a, b) => this._place(a) - this._place(b));
    const slices = [];
    let previous = -Infinity;
    for (const image of sorted) {
      if (this._place(image) - previous > SAME_SLICE_MM) slices.push([]);
      slices.at(-1).push(image);
      previous = this._place(image);
    }
    return slices;
  }
}

function hasSameGeometry(a, b) {
  const near = (x, y, limit) => (x && y ? x.every((value, n) => Math.abs(value - y[n]) <= limit) : x === y);
  return String(a.shape) === String(b.shape) && a.kind === b.kind && a.missing === b.missing
    && near(a.spacingMm, b.spacingMm, SAME_SPACING * Math.min(...(b.spacingMm ?? [0])))
    && near(a.orientation, b.orientation, SAME_DIRECTION);
}

const isOneStudy = (a, b) => a.study === b.study && a.patient === b.patient;

function groupImages(images) {
  const groups = [];
  for (const image of images) {
    const own = groups.find(([first]) => isOneStudy(first, image) && first.series === image.series
      && hasSameGeometry(image, first));
    if (own) own.push(image);
    else groups.push([image]);
  }
  return groups.map((group) => new Series(group));
}

/** The series, those joined that hold one slice each of an even stack, as some scanners store them. */
function joinSlices(all) {
  const single = all.filter(({ slices, phases, first }) => slices.length === 1 && phases >= MIN_PHASES && !first.kind);
  const rest = all.filter((series) => !single.includes(series));
  const groups = [];
  for (const series of single) {
    const own = groups.find(([{ first }]) => isOneStudy(first, series.first) && first.modality === series.first.modality
      && hasSameGeometry(series.first, first));
    if (own) own.push(series);
    else groups.push([series]);
  }
  return [...rest, ...groups.flatMap((group) => {
    const joined = new Series(group.flatMap(({ images }) => images));
    const gaps = joined.positionsMm.slice(1).map((mm, n) => mm - joined.positionsMm[n]);
    const isEven = joined.slices.length === group.length
      && Math.max(...gaps) - Math.min(...gaps) <= MAX_GAP_DEVIATION * mean(gaps);
    return joined.slices.length >= MIN_SLICES && isEven ? [joined] : group;
  })];
}

/** Degrees between a series and the usual short axis, and in dextrocardia. */
function degreesOf({ normal }) {
  const [x, y, z] = LONG_AXIS;
  return [LONG_AXIS, [-x, y, z]].map((axis) => (Math.acos(Math.min(Math.abs(dot(normal, axis)), 1)) * 180) / Math.PI);
}

/** "short", "long", "other" or "": by the description of a series, else by that of a parallel one. */
function viewOf(series, all) {
  const parallel = all.filter(({ first, normal }) => isOneStudy(first, series.first) && !first.kind && !first.missing
    && Math.abs(dot(normal, series.normal)) >= Math.cos((PARALLEL_DEGREES * Math.PI) / 180));
  const names = parallel.map(viewInName);
  return viewInName(series) || ["short", "long"].find((name) => names.includes(name)) || "";
}

function viewInName({ first }) {
  const words = first.description.replace(/(?<=[a-z])(?=[A-Z])|[^\p{L}\p{N}]+/gu, " ").toLowerCase();
  const rest = words.replace(SHORT_AXIS, " ");
  const [isShort, isLong] = [rest !== words, LONG_AXIS_VIEW.test(rest)];
  if (isShort) return isLong ? "" : "short";
  return isLong ? "long" : OTHER_VIEW.test(rest) ? "other" : "";
}

function chooseSeries(all) {
  const cines = all.filter(({ first, slices, phases }) => first.modality === "MR" && !first.kind && !first.missing
    && slices.length >= MIN_SLICES && phases >= MIN_PHASES);
  const named = cines.filter((series) => viewOf(series, all) === "short");
  const usual = cines.filter((series) => !viewOf(series, all) && degreesOf(series)[0] <= MAX_DEGREES);
  const likely = named.length ? named : usual.length ? usual : cines;
  const list = (group) => group.map(({ first }) => `${first.seriesNumber} ${first.description}`.trim()).join(", ");
  if (likely.length > 1)
    throw new InputError(`holds several cines that may be the short axis (series ${list(likely)}); `
      + "drop the files of one of them");
  if (likely.length) {
    const { obstacle } = likely[0].first;
    if (obstacle) throw refusal(obstacle);
    return likely[0];
  }
  const obstacle = all.map(({ first }) => first.obstacle).find(Boolean);
  if (obstacle) throw refusal(obstacle);
  const missing = all.map(({ first }) => first.missing).find(Boolean);
  throw new InputError(`holds no MR cine of at least ${MIN_SLICES} slices and ${MIN_PHASES} phases in one series`
    + `${missing ? ` (images lack ${missing})` : ""}; ${ELSEWHERE}`);
}

const refusal = (obstacle) => new InputError(`${obstacle}, which this page does not read; ${ELSEWHERE}`);

/** The images by phase, then by slice; notes on doubts are added. */
function arrange({ slices }, notes) {
  const counts = new Set(slices.map((slice) => slice.length));
  if (counts.size > 1)
    throw new InputError(`slices have ${[...counts].sort((a, b) => a - b).join(", ")} images, so phases are missing `
      + `or were acquired twice; ${AGAIN}; ${ELSEWHERE}`);
  const orders = {
    TriggerTime: (image) => image.number("TriggerTime"),
    TemporalPositionIdentifier: (image) => image.number("TemporalPositionIdentifier"),
    InstanceNumber: (image) => (image.number("InstanceNumber") === null ? null
      : image.seriesNumber * 1e6 + image.instance),
  };
  const tellsApart = (order) => slices.every((slice) => {
    const values = slice.map(order);
    return !values.includes(null) && new Set(values).size === values.length;
  });
  const name = Object.keys(orders).find((key) => tellsApart(orders[key]));
  if (!name)
    throw new InputError("neither TriggerTime nor InstanceNumber tells the phases of a slice apart; "
      + `export the series again with TriggerTime; ${ELSEWHERE}`);
  const sorted = slices.map((slice) => [...slice].sort((a, b) => orders[name](a) - orders[name](b)));
  if (name === "InstanceNumber") {
    const clocks = ["AcquisitionDateTime", "AcquisitionTime", "ContentTime"].map((key) => [key, (image) => clock(image.text(key))]);
    const [contradicting] = clocks.find(([, order]) => tellsApart(order)
      && sorted.some((slice) => slice.some((image, n) => n && order(image) < order(slice[n - 1])))) ?? [];
    if (contradicting)
      notes.push(`InstanceNumber and ${contradicting} give the phases different orders; check them`);
  }
  return range(sorted[0].length).map((t) => sorted.map((slice) => slice[t]));
}

/** Seconds of a time, or of a date and time; null without one. */
function clock(text) {
  const [, day, hours, minutes, seconds] = text.match(/^(\d{8})?(\d\d)(\d\d)(\d\d(?:\.\d+)?)/) ?? [];
  return hours === undefined ? null : 86400 * (day ?? 0) + 3600 * hours + 60 * minutes + +seconds;
}

/** What the headers say is missing; see ctct/io/dicom/completeness.py. */
function noteLosses(series, all) {
  const uids = new Set(series.images.map((image) => image.series));
  const others = all.filter((image) => uids.has(image.series) && !series.images.includes(image));
  const notes = [];
  const count = series.images.length + others.length;
  const expected = Math.max(...series.images.map(({ images }) => images));
  const missing = missingNumbers(series, others, expected === count);
  if (missing) notes.push(`InstanceNumbers that no file has: ${missing}; ${AGAIN}`);
  if (expected > count) notes.push(`the header says ${expected} images, there are ${count}; ${AGAIN}`);
  const { phases } = series.first;
  if (phases > series.phases) notes.push(`the header says ${phases} phases, there are ${series.phases}; ${AGAIN}`);
  if (phases && series.phases >= 2 * phases)
    notes.push(`the header says ${phases} phases, there are ${series.phases}, as if the slices were acquired more than once`);
  const leftOut = others.filter((image) => image.kind === series.first.kind || (!image.missing
    && Math.min(...series.positionsMm.map((mm) => Math.abs(dot(series.normal, image.position) - mm))) > SAME_SLICE_MM));
  if (leftOut.length) notes.push(`${leftOut.length} images of the series have another geometry, left out`);
  return notes;
}

function missingNumbers(series, others, isComplete) {
  const bySeries = new Map();
  for (const image of [...series.images, ...others])
    bySeries.set(image.series, (bySeries.get(image.series) ?? new Set()).add(image.instance));
  let ranges = [...bySeries.values()];
  const union = new Set(ranges.flatMap((numbers) => [...numbers]));
  const span = (numbers) => [...numbers].reduce(([a, b], n) => [Math.min(a, n), Math.max(b, n)], [Infinity, -Infinity]);
  const isDense = (numbers) => 2 * (numbers.size - 1) > span(numbers)[1] - span(numbers)[0];
  const runOn = union.size === ranges.reduce((total, numbers) => total + numbers.size, 0);
  if (runOn && isDense(union)) ranges = [union];
  const within = ranges.filter(isDense).reduce((total, numbers) =>
    total + span(numbers)[1] - span(numbers)[0] + 1 - numbers.size, 0);
  const before = span(union)[0] - 1;
  if (isComplete || !(before > 0 && before < union.size) || !isDense(union)) return within;
  const units = runOn ? [series.phases, series.slices.length] : [1];
  const isWhole = [before, within + before].some((n) => units.some((one) => n % one === 0));
  return within + (isWhole ? before : 0);
}

function noteView(series, all) {
  const name = viewOf(series, all), [degrees, mirrored] = degreesOf(series);
  const angle = `lies ${fixed(degrees, 0)}° from where the short axis of a heart is expected`;
  const view = { long: "a long-axis view", other: "no short-axis view" }[name];
  const byName = view ? `is ${view} by its name or that of a parallel series` : "";
  const isUsual = name === "short" ? Math.min(degrees, mirrored) <= MAX_NAMED_DEGREES : degrees <= MAX_DEGREES;
  const doubt = [byName, isUsual ? "" : angle].filter(Boolean).join(" and ");
  return doubt ? [`the series ${doubt}; check that it is a short-axis cine`] : [];
}

/** Notes on other series that may be the rest of the stack. */
function noteContinuations(series, all) {
  const beside = all.filter((other) => other !== series && isOneStudy(other.first, series.first)
    && hasSameGeometry(other.first, series.first) && other.first.description === series.first.description
    && other.phases === series.phases && other.positionsMm.length
    && (Math.min(...other.positionsMm) > Math.max(...series.positionsMm)
      || Math.max(...other.positionsMm) < Math.min(...series.positionsMm)));
  return beside.map(({ first }) => `series ${first.seriesNumber}, of the same kind, lies beside these slices and is not `
    + "used; if it belongs to the cine, export the whole cine again");
}

/** What contradicts PixelSpacing and the positions of the slices; see ctct/io/dicom/spacing.py. */
function noteSpacing(series, sliceMm) {
  const agree = (measured, stated) => Math.abs(measured - stated) <= TOLERANCE * stated;
  const notes = [];
  const { spacingMm, shape } = series.first;
  const sides = shape.map((n, axis) => n * spacingMm[axis]);
  const isSquare = agree(...spacingMm);
  const diameters = new Set(series.images.map((image) => image.number("ReconstructionDiameter") ?? 0));
  const wrong = [...diameters].find((mm) => mm > 0
    && !(isSquare ? sides.some((side) => agree(side, mm)) : sides.every((side) => agree(side, mm))));
  if (wrong) {
    const side = sides.reduce((a, b) => (Math.abs(b - wrong) > Math.abs(a - wrong) ? b : a));
    notes.push(`PixelSpacing gives ${fixed(side, 0)} mm for the image, ReconstructionDiameter ${fixed(wrong, 0)} mm; `
      + "check the size of the pixels");
  }
  const uids = series.slices.map((slice) => new Set(slice.map((image) => image.series)));
  if (!uids.slice(1).some((set, n) => [...set].some((uid) => uids[n].has(uid)))) return notes;
  const stated = series.images.map((image) => [image.number("SpacingBetweenSlices") ?? 0, image.number("SliceThickness") ?? 0]);
  const [contradicting] = stated.find(([mm, thick]) => mm > 0 && !agree(sliceMm, mm) && !agree(sliceMm, mm + thick)) ?? [];
  if (contradicting)
    notes.push(`ImagePositionPatient puts the slices ${general(sliceMm, 3)} mm apart, SpacingBetweenSlices `
      + `${general(contradicting, 3)} mm; check the distance between slices`);
  return notes;
}

/** What in the header says that a series is no cine; see ctct/io/sequences.py. */
function noteSequence(image) {
  const said = describeName(`${image.text("SeriesDescription")} ${image.text("ProtocolName")}`.trim());
  const reasons = said && said !== OTHER ? [`its name speaks of ${said}`] : [];
  if (/(T1|T2|T2_?STAR|ECV)[ _]?MAP|PSIR/.test(image.words("ImageType").join(" ").toUpperCase()))
    reasons.push("its ImageType is that of a map or of late enhancement");
  const scanning = image.words("ScanningSequence"), inversionMs = image.number("InversionTime");
  if (inversionMs || scanning.includes("IR"))
    reasons.push(`it has an inversion pulse${inversionMs ? `, ${general(inversionMs)} ms` : ""}, as late enhancement and `
      + "T1 maps have");
  if (scanning.includes("SE")) reasons.push("it is of spin echoes");
  const echoMs = image.number("EchoTime");
  if (echoMs > MAX_ECHO_MS) reasons.push(`its echo time is ${general(echoMs)} ms, as in T2-weighted images`);
  return reasons.length ? [`this series is not a cine: ${reasons.join(", ")}`] : [];
}

function toStudy(series, phases, notes, source) {
  const { along, down, normal, first } = series;
  const [rowMm, columnMm] = first.spacingMm;
  const shape = [phases.length, phases[0].length, ...first.shape];
  checkSize(shape);
  const positions = phases[0].map((image) => image.position);
  const step = times(minus(positions.at(-1), positions[0]), 1 / (positions.length - 1));
  const sliceMm = dot(step, normal);
  const gaps = positions.slice(1).map((position, n) => dot(minus(position, positions[n]), normal));
  const shown = `slices lie ${fixed(Math.min(...gaps), 1)} to ${fixed(Math.max(...gaps), 1)} mm apart`;
  const deviation = Math.max(...gaps.map((gap) => Math.abs(gap - sliceMm)));
  if (deviation > MAX_GAP_DEVIATION * sliceMm)
    throw new InputError(`${shown}, so some are missing or were acquired twice; export all of the series`);
  if (deviation > 0.02 * sliceMm) notes.push(`${shown}; the mean, ${fixed(sliceMm, 2)} mm, is used`);
  const shiftMm = Math.max(...positions.map((position, z) => {
    const shift = minus(minus(position, positions[0]), times(step, z));
    return norm(minus(shift, times(normal, dot(shift, normal))));
  }));
  if (shiftMm > Math.max(rowMm, columnMm)) notes.push(`slices are shifted by up to ${fixed(shiftMm, 1)} mm in their plane`);
  const thickMm = first.number("SliceThickness") ?? 0;
  if (median(gaps) < DOUBTFUL_GAP * thickMm)
    notes.push(`slices ${general(thickMm)} mm thick lie ${fixed(median(gaps), 1)} mm apart, as if two stacks were mixed`);
  notes.push(...noteSpacing(series, sliceMm), ...noteSequence(first));
  const voxels = new Float32Array(product(shape));
  phases.flat().forEach((image, n) => {
    const pixels = image.obstacle ? null : readPixels(image);
    if (!pixels) throw new InputError(`${image.obstacle || "an image ends too early"}; export it again; ${ELSEWHERE}`);
    voxels.set(pixels, n * pixels.length);
  });
  const incomplete = countIncomplete(voxels, shape);
  if (incomplete) notes.push(`images that are blank, or blank from some row on: ${incomplete}; copy them again`);
  const toRas = ([x, y, z]) => [-x, -y, z];
  const columns = [times(along, columnMm), times(down, rowMm), step, positions[0]].map(toRas);
  const affine = range(3).map((line) => columns.map((column) => column[line]));
  const timesMs = phases.map((phase) => median(phase.map((image) => image.number("TriggerTime") ?? NaN)));
  const frameS = Math.max((timesMs.at(-1) - timesMs[0]) / (timesMs.length - 1) / 1000, 0) || 0;
  return new Study({
    name: source.replace(/\.zip$/i, ""),
    voxels,
    shape,
    spacingMm: [rowMm, columnMm],
    sliceSpacingMm: sliceMm,
    affine,
    notes,
    encodeLabels: (labels) => encodeNewLabels(labels, shape, affine, [columnMm, rowMm, sliceMm, frameS]),
  });
}

/** How many images end in more rows of one value than others do, as after an interrupted copy. */
function countIncomplete(voxels, [frames, slices, height, width]) {
  const filled = range(frames * slices).map((n) => {
    for (let row = height; row > 0; row--) {
      const from = (n * height + row - 1) * width;
      const line = voxels.subarray(from, from + width);
      if (line.some((value) => value !== line[0])) return row;
    }
    return 0;
  });
  const usual = median(filled) - 0.1 * height;
  return filled.filter((rows) => rows < usual).length;
}
