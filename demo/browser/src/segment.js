// Labels of every slice of a study, as in ctct/inference: a few slices show where the heart is.

import { product, range } from "./arrays.js";
import {
  heartBox, heartCrop, movedCrop, otherPlaces, reachesBeyond, SEARCH_STEP, searchScales, touchesEdge, visibleCrop,
} from "./crop.js";
import { toHalf } from "./numbers.js";
import { findOrientation, usualLayout } from "./orientation.js";

/** Frames from which on a study is a cine, whose frames all run on one heart crop. */
const MIN_CINE_FRAMES = 6;
/** How often a crop is moved after a heart at its edge. */
const MAX_MOVES = 3;
/** Of a heart with more doubt another place may show the true one. */
const MAX_DOUBT = 0.6;
/** Slices per call. */
const BATCH = 2;

/**
 * Labels and disagreement (T, Z, H, W) as the study is stored, without clean-up.
 *
 * @param study the scan.
 * @param grids {whole, heart}: of the graphs; `heart` is null without one for heart crops.
 * @param run promises {labels, disagreement} (N·H·W) for {onHeart, slices, size, spacingMm}.
 * @param onShare told the share that is done.
 */
export async function segment(study, grids, run, onShare) {
  const orientation = findOrientation(study.affine);
  const layout = usualLayout(orientation, study.shape);
  const [frames, slices, ...native] = layout.size;
  const spacingMm = orientation.transposed ? [...study.spacingMm].reverse() : study.spacingMm;
  const voxels = layout.gather(study.voxels);
  const labels = new Uint8Array(voxels.length);
  const disagreement = new Float32Array(voxels.length);
  const area = product(native);
  const view = (array, n) => array.subarray(n * area, (n + 1) * area);
  // In a slice of a single gray value the networks see a heart.
  const isEmpty = (number) => view(voxels, number).every((value, _, all) => value === all[0]);
  const answered = new Set();

  async function answer(crop, numbers) {
    const batches = range(Math.ceil(numbers.length / BATCH)).map((n) => numbers.slice(n * BATCH, (n + 1) * BATCH));
    await Promise.all(batches.map(async (batch) => {
      const cropArea = product(crop.size);
      const result = await run(() => {
        const pixels = new Float32Array(batch.length * cropArea);
        batch.forEach((number, n) => {
          crop.cut(view(voxels, number), native, pixels.subarray(n * cropArea, (n + 1) * cropArea));
        });
        const scaled = spacingMm.map((mm) => Math.fround(Math.fround(mm) * Math.fround(crop.scale)));
        return { onHeart: crop.onHeart, slices: pixels, size: crop.size, spacingMm: scaled };
      });
      batch.forEach((number, n) => {
        for (const [found, all] of [[result.labels, labels], [result.disagreement.map(toHalf), disagreement]]) {
          view(all, number).fill(0); // what an earlier answer found beyond the crop is not the heart
          crop.paste(found.subarray(n * cropArea, (n + 1) * cropArea), view(all, number), native);
          if (isEmpty(number)) view(all, number).fill(0);
        }
        answered.add(number);
      });
      onShare(answered.size / (frames * slices));
    }));
  }

  const gather = (numbers) => {
    const gathered = new Uint8Array(numbers.length * area);
    numbers.forEach((number, n) => gathered.set(view(labels, number), n * area));
    return [gathered, [numbers.length, ...native]];
  };
  const find = (numbers) => heartBox(...gather(numbers));

  /** The crop, moved as long as the heart reaches its edge; the slices have answers from it. */
  async function follow(crop, numbers) {
    for (let move = 0; move < MAX_MOVES; move++) {
      const box = find(numbers);
      if (!box || !reachesBeyond(box, crop, native, spacingMm, grids.whole)) break;
      const center = [0, 1].map((axis) => (box.first[axis] + box.last[axis]) / 2);
      crop = movedCrop(center, spacingMm, grids.whole, crop.scale);
      await answer(crop, numbers);
    }
    return crop;
  }

  /** Disagreement of the networks, summed, per labelled voxel. */
  function doubtOf(numbers) {
    let total = 0, labelled = 0;
    for (const number of numbers) {
      for (const value of view(disagreement, number)) total += value;
      for (const label of view(labels, number)) labelled += label > 0;
    }
    return total / Math.max(labelled, 1);
  }

  /** The first of the crops that shows a heart beyond doubt, moved after it, or that with the least; or null. */
  async function search(views, numbers) {
    const doubtful = [];
    let shown = null; // the crop that the slices have answers from
    for (const first of views) {
      await answer(first, numbers);
      shown = first;
      if (!find(numbers)) continue;
      const crop = shown = await follow(first, numbers);
      if (crop !== first && !find(numbers)) continue;
      const doubt = doubtOf(numbers);
      if (!(doubt > MAX_DOUBT)) return crop;
      doubtful.push({ doubt, crop });
    }
    if (!doubtful.length) return null;
    const { crop } = doubtful.reduce((best, other) => (other.doubt < best.doubt ? other : best));
    if (crop !== shown) await answer(crop, numbers);
    return crop;
  }

  /** Answers after the one in the middle, for a heart that this did not show, or not wholly. */
  async function onWholeGrid(volume, span) {
    const visible = visibleCrop(native, spacingMm, grids.whole);
    if (find(volume)) {
      const crop = await follow(visible, volume);
      if (crop !== visible && span !== volume) await answer(crop, span);
      return;
    }
    const places = otherPlaces(native, spacingMm, grids.whole);
    if (places.length) await answer((await search(places, thirdOf(volume))) ?? visible, span);
  }

  /** Answers of `span`, the frames that run alike, by the heart in its first `volume`. */
  async function onHeart(volume, span) {
    const third = thirdOf(volume);
    const scales = searchScales(grids.heart.heart_extent_mm);
    const views = scales.map((scale) => visibleCrop(native, spacingMm, grids.whole, scale));
    const found = await search([...views, ...otherPlaces(native, spacingMm, grids.whole)], third);
    const visible = found?.scale === 1 ? found : views[0];
    const crop = found && heartCrop(...gather(third), spacingMm, grids.heart);
    const others = range(SEARCH_STEP).slice(1).map((offset) => volume.filter((_, z) => z % SEARCH_STEP === offset));
    const rest = span !== volume || scales.length > 1 ? [span] : others;
    for (const numbers of rest) await answer(crop ?? visible, numbers);
    for (let first = 0; first < span.length; first += slices) {
      const frame = span.slice(first, first + slices);
      if (!crop || !touchesEdge(...gather(frame), crop, spacingMm, grids.heart)) continue;
      await answer(visible, frame);
      await follow(visible, frame);
    }
  }

  const every = range(frames * slices);
  const volumes = range(frames).map((frame) => every.slice(frame * slices, (frame + 1) * slices));
  const spans = frames >= MIN_CINE_FRAMES ? [every] : volumes; // all frames of a cine run alike
  const thirdOf = (volume) => volume.filter((_, z) => z % SEARCH_STEP === 0);
  if (!grids.heart) await answer(visibleCrop(native, spacingMm, grids.whole), every);
  for (const [n, span] of spans.entries()) await (grids.heart ? onHeart : onWholeGrid)(volumes[n], span);
  return { labels: layout.scatter(labels), disagreement: layout.scatter(disagreement) };
}
