// The beating heart with its contours: draws a picture on the canvas, and follows the controls that are there.

import { drawOutline } from "./contour.js";
import { COLORS, LV, MYO, NAMES, RV, STRUCTURES } from "./labels.js";

/** The labels inside each outline: that of the myocardium is the epicardium. */
const OUTLINES = [[RV, [RV]], [MYO, [MYO, LV]], [LV, [LV]]];
const CYCLE_MS = 1200;
/** Color of disagreement and differences. */
const RED = [230, 30, 30];

const $ = (id) => document.getElementById(id);
/** What a control that a page need not have is set to. */
const settingOf = (id, usual) => $(id)?.value ?? usual;

export class Viewer {
  /** @param onFrame told the frame that is shown. */
  constructor(onFrame = () => {}) {
    this._onFrame = onFrame;
    this.canvas = $("canvas");
    this._buffer = document.createElement("canvas").getContext("2d");
    for (const s of STRUCTURES) {
      const item = document.createElement("span"), swatch = document.createElement("i");
      swatch.style.background = `rgb(${COLORS[s]})`;
      item.append(swatch, NAMES[s]);
      $("legend").append(item);
    }
    $("play").onclick = () => this.play(!this._timer);
    $("frame").oninput = () => { this.play(false); this.go(+$("frame").value, this.slice); };
    $("slice").oninput = () => this.go(this.frame, +$("slice").value);
    for (const id of ["layer", "style", "opacity", "level", "width"])
      $(id)?.addEventListener("input", () => this.draw());
    document.addEventListener("keydown", (event) => this._onKey(event));
    this._reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
    this._reducedMotion.addEventListener("change", () => {
      if (this._timer && this._reducedMotion.matches) this.play(false);
    });
  }

  /**
   * Show a picture and go to ED.
   *
   * picture: {frames, slices, rows, columns, aspect: height of a pixel over its width, maps: label maps (T, Z, H, W),
   * the first the one that is measured, grayOf(n): values 0…255 of slice n, null until they are there,
   * disagreementOf(n): likewise, full: disagreement that is opaque}.
   */
  show(picture, phases) {
    Object.assign(this, { picture, phases, overlay: () => {} });
    const { rows, columns, aspect, frames, slices } = picture;
    const zoom = Math.max(1, Math.ceil(720 / Math.max(columns, rows * aspect)));
    this.canvas.width = columns * zoom;
    this.canvas.height = Math.round(rows * aspect * zoom);
    Object.assign(this._buffer.canvas, { width: columns, height: rows });
    $("frame").max = frames - 1;
    $("slice").max = slices - 1;
    $("play").disabled = $("frame").disabled = frames < 2;
    $("slice").disabled = slices < 2;
    this.play(false);
    this.go(phases.ed ?? 0, this._middleSlice());
    this.play(!this._reducedMotion.matches);
  }

  /** The number of the slice that is shown, t · Z + z. */
  get number() {
    return this.frame * this.picture.slices + this.slice;
  }

  go(frame, slice) {
    const { frames, slices } = this.picture;
    this.frame = (frame + frames) % frames;
    this.slice = Math.min(slices - 1, Math.max(0, slice));
    this.draw();
  }

  play(on) {
    clearInterval(this._timer);
    this._timer = 0;
    const { frames } = this.picture;
    if (on && frames > 1) this._timer = setInterval(() => this.go(this.frame + 1, this.slice), CYCLE_MS / frames);
    $("play").textContent = this._timer ? "Pause" : "Play";
    $("play").setAttribute("aria-pressed", Boolean(this._timer));
  }

  /** Where a pointer is in the picture: [row, column], the middle of the first pixel [0, 0]. */
  placeOf(event) {
    const { rows, columns } = this.picture, box = this.canvas.getBoundingClientRect();
    const scale = Math.min(box.width / this.canvas.width, box.height / this.canvas.height);
    const [left, top] = [(box.width - scale * this.canvas.width) / 2, (box.height - scale * this.canvas.height) / 2];
    return [
      ((event.clientY - box.top - top) / scale / this.canvas.height) * rows - 0.5,
      ((event.clientX - box.left - left) / scale / this.canvas.width) * columns - 0.5,
    ];
  }

  _middleSlice() {
    const { maps, slices, rows, columns } = this.picture;
    const area = rows * columns;
    const labelled = new Set();
    for (let n = 0; n * area < maps[0].length; n++)
      if (maps[0].subarray(n * area, (n + 1) * area).some(Boolean)) labelled.add(n % slices);
    const sorted = [...labelled].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? Math.floor(slices / 2);
  }

  draw() {
    const { rows, columns, maps, full } = this.picture;
    const gray = this.picture.grayOf(this.number, () => this.draw());
    if (!gray) return;
    const area = rows * columns;
    const [layer, number] = settingOf("layer", "labels 0").split(" ");
    const style = settingOf("style", "contour");
    const opacity = settingOf("opacity", 100) / 100;
    const width = +settingOf("width", 255), low = settingOf("level", 127.5) - width / 2;
    const ofSlice = (map) => map.subarray(this.number * area, (this.number + 1) * area);
    const labels = ofSlice(maps[number ?? 0]), first = ofSlice(maps[0]);
    const disagreement = layer === "disagreement" ? this.picture.disagreementOf(this.number) : null;
    const image = new ImageData(columns, rows);
    for (let p = 0; p < area; p++) {
      const value = Math.min(255, Math.max(0, ((gray[p] - low) * 255) / width));
      let color = RED, share = 0;
      if (disagreement) share = opacity * Math.min(1, disagreement[p] / full);
      else if (layer === "difference") share = labels[p] === first[p] ? 0 : opacity;
      else if (layer === "labels" && style === "fill" && labels[p]) [color, share] = [COLORS[labels[p]], opacity * 0.6];
      for (let c = 0; c < 3; c++) image.data[4 * p + c] = value * (1 - share) + color[c] * share;
      image.data[4 * p + 3] = 255;
    }
    this._buffer.putImageData(image, 0, 0);
    const view = this.canvas.getContext("2d");
    view.globalAlpha = 1;
    view.imageSmoothingEnabled = true;
    view.imageSmoothingQuality = "high";
    view.drawImage(this._buffer.canvas, 0, 0, this.canvas.width, this.canvas.height);
    view.globalAlpha = opacity;
    if (layer === "labels" && style === "contour")
      for (const [structure, parts] of OUTLINES)
        drawOutline(view, labels.map((label) => parts.includes(label)), rows, columns, COLORS[structure]);
    view.globalAlpha = 1;
    this.overlay(view);
    this._describe();
  }

  _describe() {
    const { ed, es } = this.phases;
    const phase = this.frame === ed ? " (ED)" : this.frame === es ? " (ES)" : "";
    $("position").textContent = `frame ${this.frame}${phase}, slice ${this.slice}`;
    $("frame").value = this.frame;
    $("slice").value = this.slice;
    this._onFrame(this.frame);
  }

  _onKey(event) {
    const isField = event.target.matches("input, select, button, a, summary");
    if (!this.picture || event.defaultPrevented || event.ctrlKey || event.metaKey || (isField && event.key !== "Escape")) return;
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step && step[0]) this.play(false);
    if (step) this.go(this.frame + step[0], this.slice + step[1]);
    else if (event.key === " ") this.play(!this._timer);
    else return;
    event.preventDefault();
  }
}
