// Labels under the reader's hands: every change can be undone, and the volumes are always known.

import { range } from "./arrays.js";

/**
 * labels: Uint8Array (T, Z, H, W), changed in place; original: as they came; counts: voxels by frame and
 * label; given: {ed, es}, numbers of frames that the reader chose, null where they are found from the curve.
 */
export class Edits {
  constructor(labels, shape, given = { ed: null, es: null }) {
    const [frames, slices, rows, columns] = shape;
    Object.assign(this, { labels, shape, given, area: rows * columns, original: labels.slice() });
    this.changed = 0; // voxels that differ from the original
    this.counts = range(frames).map(() => [0, 0, 0, 0]);
    this._length = slices * this.area;
    labels.forEach((label, at) => { this.counts[this._frameOf(at)][label]++; });
    this._changedIn = range(frames).map(() => 0);
    this._versions = range(frames).map(() => 0);
    this._hidden = new Map(); // slice number to its labels, while it is switched off
    this._open = new Map(); // voxel to its label before the change that is being made
    [this._done, this._undone, this._saved] = [[], [], undefined];
  }

  _frameOf(at) {
    return Math.floor(at / this._length);
  }

  /** The labels of a slice, by its number t · Z + z. */
  slice(number) {
    return this.labels.subarray(number * this.area, (number + 1) * this.area);
  }

  /** Number of voxels of a frame that differ from the original. */
  changedIn(frame) {
    return this._changedIn[frame];
  }

  /** A number that is another one after every change of a frame. */
  versionOf(frame) {
    return this._versions[frame];
  }

  isEdited(frame) {
    return this._changedIn[frame] > 0;
  }

  isOff(number) {
    return this._hidden.has(number);
  }

  /** Whether there is something that has not been saved. */
  get isUnsaved() {
    return this._done.at(-1) !== this._saved;
  }

  markSaved() {
    this._saved = this._done.at(-1);
  }

  /** Give a voxel another label, as part of the change that is being made. */
  set(at, label) {
    const before = this.labels[at];
    if (before === label) return;
    if (!this._open.has(at)) this._open.set(at, before);
    this._write(at, label);
  }

  _write(at, label) {
    const before = this.labels[at], original = this.original[at], frame = this._frameOf(at);
    this.counts[frame][before]--;
    this.counts[frame][label]++;
    const step = (label !== original) - (before !== original);
    this.changed += step;
    this._changedIn[frame] += step;
    this._versions[frame]++;
    this.labels[at] = label;
  }

  /** Give a slice the labels of an array (H, W), as part of the change that is being made. */
  setSlice(number, labels) {
    labels.forEach((label, n) => this.set(number * this.area + n, label));
  }

  /** Switch a slice off, so that it counts for nothing, or on again. */
  switchSlice(number) {
    const hidden = new Map(this._nextHidden ?? this._hidden);
    if (hidden.has(number)) {
      this.setSlice(number, hidden.get(number));
      hidden.delete(number);
    } else {
      hidden.set(number, this.slice(number).slice());
      this.setSlice(number, new Uint8Array(this.area));
    }
    this._nextHidden = hidden;
  }

  /** End the change; returns whether there was one. */
  commit({ given = this.given } = {}) {
    const hidden = this._nextHidden ?? this._hidden;
    this._nextHidden = null;
    const voxels = [...this._open].filter(([at, before]) => this.labels[at] !== before);
    this._open.clear();
    if (!voxels.length && hidden === this._hidden && given === this.given) return false;
    const at = Uint32Array.from(voxels, ([index]) => index);
    this._done.push({
      at,
      labels: [Uint8Array.from(voxels, ([, before]) => before), Uint8Array.from(at, (index) => this.labels[index])],
      hidden: [this._hidden, hidden],
      given: [this.given, given],
    });
    this._undone = [];
    Object.assign(this, { _hidden: hidden, given });
    return true;
  }

  /** Take back the change that is being made. */
  rollBack() {
    for (const [at, before] of this._open) this._write(at, before);
    this._open.clear();
    this._nextHidden = null;
  }

  /** Take back the last change; returns the number of the slice it was in, -1 of none, null if there is no change. */
  undo() {
    return this._move(this._done, this._undone, 0);
  }

  /** Make the change again that was taken back last. */
  redo() {
    return this._move(this._undone, this._done, 1);
  }

  _move(from, to, side) {
    this.rollBack();
    const change = from.pop();
    if (!change) return null;
    change.at.forEach((at, n) => this._write(at, change.labels[side][n]));
    Object.assign(this, { _hidden: change.hidden[side], given: change.given[side] });
    to.push(change);
    return change.at.length ? Math.floor(change.at[0] / this.area) : -1;
  }
}
