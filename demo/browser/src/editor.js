// The reader's hands on the contours: tools, keys, pointers, and a line that says what happened.

import { LV, MYO, NAMES, RV, STRUCTURES } from "./labels.js";
import { interpolateMasks, maskWith, roomAround, sweepDisc } from "./shapes.js";

const TOOLS = { brush: "Brush", eraser: "Eraser", push: "Push contour", look: "Look" };
const KEYS = { v: "look", b: "brush", e: "eraser", p: "push" };
const [SMALLEST_MM, LARGEST_MM, USUAL_MM] = [1, 30, 8];
/** A contour is pushed with a disc of at most this radius. */
const MOST_PUSH_MM = 15;
/** Where labels are copied from: steps in frames and in slices. */
const SOURCES = {
  "the frame before": [-1, 0],
  "the frame after": [1, 0],
  "the slice before": [0, -1],
  "the slice after": [0, 1],
};
const radios = (name, legend, values) => `<fieldset><legend>${legend}</legend>${values.map(
  ([value, text], n) => `<label><input type="radio" name="${name}" value="${value}"${n ? "" : " checked"}><span>${text}
  </span></label>`).join("")}</fieldset>`;
const button = (action, text, more = "") => `<button type="button" data-do="${action}"${more}>${text}</button>`;
const MARKUP = `
  <div>${radios("tool", "Tool", Object.entries(TOOLS))}
    ${radios("structure", "Structure", [...[LV, MYO, RV].map((s) => [s, NAMES[s]]), ["all", "All"]])}
    <label class="size">Size <input id="brush-size" type="range" min="${SMALLEST_MM}" max="${LARGEST_MM}"
      value="${USUAL_MM}"><output for="brush-size">${USUAL_MM} mm</output></label></div>
  <div>${button("delete", "Delete in slice")}
    <span class="copy">${button("copy", "Copy from")}<select id="copy-from" aria-label="Copy from">${
      Object.keys(SOURCES).map((name) => `<option>${name}</option>`).join("")}</select></span>
    ${button("interpolate", "Interpolate slice")}
    ${button("switch", "Switch slice off", ' aria-pressed="false"')}
    <label class="check"><input id="all-frames" type="checkbox">in all frames</label>
    ${button("ed", "Move ED", ' aria-pressed="false"')}${button("es", "Move ES", ' aria-pressed="false"')}
    ${button("undo", "Undo")}${button("redo", "Redo")}${button("save", "Save edited (zip)")}</div>
  <p class="keys">B brush, E eraser, P push, V look; 1 LV, 2 MYO, 3 RV; [ ] size; Shift and arrows move the brush, Enter
    uses it; Delete; Ctrl+Z undoes, Ctrl+Y redoes</p>`;

export class Editor {
  /**
   * @param viewer shows the labels of `edits`.
   * @param edits the labels and their history.
   * @param page {tools: element for the toolbar, said: element for messages, spacingMm, onChange: told of every
   * change, onSave: promises the content of the file to save and its name}.
   */
  constructor(viewer, edits, page) {
    Object.assign(this, { viewer, edits, page, _place: null, _moving: null, _stroke: null });
    this._ending = new AbortController();
    page.tools.innerHTML = MARKUP;
    const { signal } = this._ending;
    const listen = (target, name, act) => target.addEventListener(name, act.bind(this), { signal, capture: true });
    listen(page.tools, "click", (event) => this._do(event.target.closest("[data-do]")?.dataset.do));
    listen(page.tools, "input", this._onSetting);
    listen(document, "keydown", this._onKey);
    listen(viewer.canvas, "pointerdown", this._onDown);
    listen(viewer.canvas, "pointermove", this._onMove);
    listen(viewer.canvas, "pointerup", this._onUp);
    listen(viewer.canvas, "pointercancel", () => this._cancel("The stroke was interrupted; nothing was changed."));
    listen(viewer.canvas, "pointerleave", () => { if (!this._stroke) this._moveCursor(null); });
    viewer.overlay = (view) => this._drawCursor(view);
    this.open(false);
  }

  /** Stop listening; another scan has its own editor. */
  end() {
    this._ending.abort();
    this.page.tools.replaceChildren();
    this.viewer.canvas.style.touchAction = "";
  }

  open(isOpen) {
    this.isOpen = isOpen;
    this.page.tools.hidden = !isOpen;
    document.getElementById("edit").setAttribute("aria-expanded", isOpen);
    this._moving = null;
    if (isOpen) this.viewer.play(false);
    this._onSetting();
    this._refresh();
  }

  say(text) {
    this.page.said.textContent = text;
  }

  get tool() {
    return this.isOpen ? this._chosen("tool") : "look";
  }

  _chosen(name) {
    return this.page.tools.querySelector(`[name=${name}]:checked`).value;
  }

  _choose(name, value) {
    this.page.tools.querySelector(`[name=${name}][value="${value}"]`).checked = true;
    this._onSetting();
  }

  get _sizeMm() {
    return +document.getElementById("brush-size").value;
  }

  /** The structures that are chosen. */
  get _structures() {
    const chosen = this._chosen("structure");
    return chosen === "all" ? STRUCTURES : [+chosen];
  }

  _onSetting() {
    this.page.tools.querySelector("output").textContent = `${this._sizeMm} mm`;
    const isDrawing = this.tool !== "look";
    this.viewer.canvas.style.touchAction = isDrawing ? "none" : ""; // a finger draws, or moves the page
    this.viewer.canvas.style.cursor = isDrawing ? "crosshair" : "";
    if (isDrawing) this.viewer.play(false);
    this.viewer.draw();
  }

  // Strokes

  _isInside([row, column]) {
    const { rows, columns } = this.viewer.picture;
    return row >= -0.5 && column >= -0.5 && row < rows - 0.5 && column < columns - 0.5;
  }

  _onDown(event) {
    if (this.tool === "look" || !event.isPrimary || event.button > 0 || this._stroke) return;
    event.preventDefault();
    this.viewer.canvas.focus({ preventScroll: true });
    this.viewer.canvas.setPointerCapture(event.pointerId);
    this._begin(this.viewer.placeOf(event), event.pointerId);
  }

  _begin(place, pointer = null) {
    const number = this.viewer.number;
    this._stroke = null;
    this.viewer.play(false);
    if (this.edits.isOff(number)) return this.say("This slice is switched off; switch it on to edit it.");
    const tool = this.tool, structure = this._chosen("structure");
    if (tool === "brush" && structure === "all") return this.say("Choose LV, MYO or RV to paint.");
    this.say("");
    const layer = document.getElementById("layer");
    if (layer && !layer.value.endsWith(" 0")) layer.value = "labels 0"; // what is edited must be seen
    this._stroke = { number, pointer, tool, radiusMm: this._sizeMm / 2, label: tool === "brush" ? +structure : 0, wasInside: false };
    if (tool === "push") this._grasp(place);
    this._extend(place, place);
  }

  /** Take what is under the pointer, and push it; the room around it is the size of the disc. */
  _grasp(place) {
    const at = place.map(Math.round), stroke = this._stroke;
    if (!this._isInside(place)) return;
    const { rows, columns } = this.viewer.picture, labels = this.edits.slice(stroke.number);
    stroke.label = labels[at[0] * columns + at[1]];
    stroke.radiusMm = roomAround(labels, [rows, columns], at, this.page.spacingMm, MOST_PUSH_MM) - 1e-6;
    stroke.hold = [at[0] - place[0], at[1] - place[1]]; // from the pointer to the middle of its pixel
  }

  _extend(from, to) {
    const { rows, columns } = this.viewer.picture;
    const { number, radiusMm, label, hold = [0, 0] } = this._stroke;
    const [start, end] = [from, to].map((place) => place.map((value, axis) => value + hold[axis]));
    this._stroke.wasInside ||= this._isInside(to);
    this._stroke.at = to;
    const first = number * this.edits.area;
    sweepDisc(start, end, radiusMm, this.page.spacingMm, [rows, columns], (row, column) =>
      this.edits.set(first + row * columns + column, label));
    this._moveCursor(to);
    this.page.onChange({ isDone: false });
  }

  _onMove(event) {
    const place = this.viewer.placeOf(event);
    if (!this._stroke) {
      if (this.tool !== "look" && event.isPrimary) this._moveCursor(place);
    } else if (event.pointerId === this._stroke.pointer && this.viewer.number === this._stroke.number) {
      this._extend(this._stroke.at, place);
    }
  }

  _onUp(event) {
    if (this._stroke?.pointer === event.pointerId) this._endStroke();
  }

  _endStroke() {
    const { wasInside, tool } = this._stroke;
    this._stroke = null;
    const before = this.edits.changed;
    if (this._commit()) this.say(`${TOOLS[tool]}: done.`);
    else if (!wasInside) this.say("The stroke lies outside the picture; nothing was changed.");
    else if (before === this.edits.changed) this.say("The stroke changed no pixel.");
  }

  _cancel(words) {
    if (!this._stroke) return;
    this._stroke = null;
    this.edits.rollBack();
    this.say(words);
    this._changed();
  }

  _moveCursor(place) {
    this._place = place;
    this.viewer.draw();
  }

  _drawCursor(view) {
    const { rows, columns } = this.viewer.picture;
    const across = view.canvas.width / columns, down = view.canvas.height / rows;
    if (this.edits.isOff(this.viewer.number)) {
      view.fillStyle = "#ffd75e";
      view.font = `600 ${Math.round(view.canvas.width / 22)}px system-ui, sans-serif`;
      view.fillText("slice switched off", view.canvas.width * 0.03, view.canvas.height * 0.07);
    }
    if (!this._place || this.tool === "look") return;
    const radiusMm = this._stroke?.radiusMm ?? (this.tool === "push" ? 1 : this._sizeMm / 2);
    const [row, column] = this._place, [rowMm, columnMm] = this.page.spacingMm;
    view.beginPath();
    view.ellipse((column + 0.5) * across, (row + 0.5) * down, Math.max(2, (radiusMm / columnMm) * across),
      Math.max(2, (radiusMm / rowMm) * down), 0, 0, 2 * Math.PI);
    view.lineWidth = Math.max(1, view.canvas.width / 500);
    view.strokeStyle = "#fff";
    view.stroke();
  }

  // Actions

  _do(action) {
    if (!action) return;
    this._cancel("The stroke was interrupted; nothing was changed.");
    const actions = {
      delete: this._delete, copy: this._copy, interpolate: this._interpolate, switch: this._switch,
      undo: this.undo, redo: this.redo, save: this._save, ed: () => this._move("ed"), es: () => this._move("es"),
    };
    actions[action].call(this);
  }

  /** The numbers of the slices that an action is for: the one that is shown, or that in every frame. */
  get _numbers() {
    const { frames, slices } = this.viewer.picture, { frame, slice } = this.viewer;
    return document.getElementById("all-frames").checked
      ? Array.from({ length: frames }, (_, t) => t * slices + slice) : [frame * slices + slice];
  }

  /** Whether labels can be changed; the reader is told if not. */
  _canEdit(numbers) {
    if (!numbers.some((number) => this.edits.isOff(number))) return true;
    this.say("The slice is switched off; switch it on to edit it.");
    return false;
  }

  _delete() {
    const numbers = this._numbers, chosen = this._structures;
    if (!this._canEdit(numbers)) return;
    for (const number of numbers)
      this.edits.setSlice(number, this.edits.slice(number).map((label) => (chosen.includes(label) ? 0 : label)));
    this._finish(`Deleted ${this._named} in ${this._where}.`, `There is no ${this._named} in ${this._where}.`);
  }

  _copy() {
    const { frames, slices } = this.viewer.picture, { frame, slice, number } = this.viewer;
    const name = document.getElementById("copy-from").value;
    const [frameStep, sliceStep] = SOURCES[name];
    const from = (((frame + frameStep) % frames) + frames) % frames; // the cycle goes round
    if (slice + sliceStep < 0 || slice + sliceStep >= slices || (frameStep && frames < 2))
      return this.say(`There is no ${name.slice(4)}; nothing was copied.`);
    if (!this._canEdit([number])) return;
    const chosen = this._structures, source = this.edits.slice(from * slices + slice + sliceStep);
    this.edits.setSlice(number, this.edits.slice(number).map((label, at) =>
      (chosen.includes(source[at]) ? source[at] : chosen.includes(label) ? 0 : label)));
    this._finish(`Copied ${this._named} from ${name}.`, `${name[0].toUpperCase()}${name.slice(1)} has the same ${this._named}.`);
  }

  _interpolate() {
    const { slices, rows, columns } = this.viewer.picture, { frame, slice, number } = this.viewer;
    if (!this._canEdit([number])) return;
    const chosen = this._structures;
    const holds = (z) => this.edits.slice(frame * slices + z).some((label) => chosen.includes(label));
    let [before, after] = [slice - 1, slice + 1];
    while (before >= 0 && !holds(before)) before--;
    while (after < slices && !holds(after)) after++;
    if (before < 0 || after >= slices)
      return this.say(`Interpolation needs ${this._named} in a slice on either side.`);
    const ends = [before, after].map((z) => this.edits.slice(frame * slices + z));
    const own = this.edits.slice(number), share = (slice - before) / (after - before);
    const maskOf = (structure, parts) => (chosen.includes(structure)
      ? interpolateMasks(...ends.map((end) => maskWith(end, parts)), share, [rows, columns], this.page.spacingMm)
      : maskWith(own, parts));
    const [lv, wall, rv] = [maskOf(LV, [LV]), maskOf(MYO, [MYO, LV]), maskOf(RV, [RV])];
    this.edits.setSlice(number, own.map((_, at) => (lv[at] ? LV : wall[at] ? MYO : rv[at] ? RV : 0)));
    this._finish(`Interpolated ${this._named} between slices ${before} and ${after}.`, "The slice was like that already.");
  }

  _switch() {
    const isOff = this.edits.isOff(this.viewer.number);
    const numbers = this._numbers.filter((number) => this.edits.isOff(number) === isOff);
    for (const number of numbers) this.edits.switchSlice(number);
    this._finish(`Slice ${this.viewer.slice} counts ${isOff ? "again" : "no more"}.`);
  }

  /** The next click on the curve, or the same button again, moves ED or ES. */
  _move(phase) {
    if (this.viewer.picture.frames < 2) return this.say("A single frame has no ED and ES.");
    if (this._moving === phase) return this.moveTo(this.viewer.frame);
    this._moving = phase;
    this._refresh();
    const name = phase.toUpperCase();
    this.say(`Click the curve where ${name} is; or go to the frame and press Move ${name} again.`);
  }

  get isMoving() {
    return this._moving !== null;
  }

  moveTo(frame) {
    const phase = this._moving, other = phase === "ed" ? "es" : "ed";
    this._moving = null;
    this._refresh();
    if (this.viewer.phases[other] === frame)
      return this.say(`Frame ${frame} is ${other.toUpperCase()}; choose another one for ${phase.toUpperCase()}.`);
    if (this.edits.commit({ given: { ...this.edits.given, [phase]: frame } })) this._changed();
    this.say(`${phase.toUpperCase()} is frame ${frame} now.`);
  }

  undo() {
    this._moveInHistory(this.edits.undo(), "Undone.", "There is nothing to undo.");
  }

  redo() {
    this._moveInHistory(this.edits.redo(), "Done again.", "There is nothing to redo.");
  }

  _moveInHistory(number, done, nothing) {
    if (number === null) return this.say(nothing);
    const { slices } = this.viewer.picture;
    if (number >= 0) this.viewer.go(Math.floor(number / slices), number % slices); // where the reader can see it
    this.say(done);
    this._changed();
  }

  async _save() {
    try {
      const { name, content } = await this.page.onSave();
      const link = Object.assign(document.createElement("a"), { download: name });
      link.href = URL.createObjectURL(new Blob([content], { type: "application/zip" }));
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      this.edits.markSaved();
      this.say(`Saved ${name}.`);
      this._changed();
    } catch (error) {
      this.say(`The edited labels could not be saved (${error.message}); they are still here, try again.`);
    }
  }

  get _named() {
    return this._chosen("structure") === "all" ? "labels" : NAMES[this._structures[0]];
  }

  get _where() {
    const { slice, frame } = this.viewer;
    return this._numbers.length > 1 ? `slice ${slice} of all frames` : `slice ${slice}, frame ${frame}`;
  }

  _finish(done, nothing = "") {
    this.say(this._commit() ? done : nothing);
  }

  _commit() {
    const isChanged = this.edits.commit();
    this._changed();
    return isChanged;
  }

  _changed() {
    this.page.onChange({ isDone: true });
    this._refresh();
    this.viewer.draw();
  }

  /** Buttons as things are now. */
  _refresh() {
    const find = (action) => this.page.tools.querySelector(`[data-do=${action}]`);
    for (const phase of ["ed", "es"]) find(phase).setAttribute("aria-pressed", this._moving === phase);
    this.onFrame();
  }

  /** To be called whenever another slice is shown. */
  onFrame() {
    const isOff = this.edits.isOff(this.viewer.number);
    const button = this.page.tools.querySelector("[data-do=switch]");
    button.setAttribute("aria-pressed", isOff);
    button.textContent = isOff ? "Switch slice on" : "Switch slice off";
  }

  // Keys

  _onKey(event) {
    if (!this.isOpen || event.altKey) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "z" || key === "y") {
        this._do(key === "y" || event.shiftKey ? "redo" : "undo");
        event.preventDefault();
      }
      return;
    }
    if (event.target.matches("input:not([type=radio]), select, button, a")) return;
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (KEYS[key]) this._choose("tool", KEYS[key]);
    else if (["1", "2", "3"].includes(key)) this._choose("structure", [LV, MYO, RV][key - 1]);
    else if (key === "[" || key === "]") this._resize(key === "]" ? 1 : -1);
    else if (key === "delete") this._do("delete");
    else if (event.shiftKey && step && this.tool !== "look") this._step(step);
    else if (key === "enter" && this.tool !== "look" && this._place && event.target === this.viewer.canvas) this._stamp();
    else return;
    event.preventDefault();
  }

  _resize(step) {
    document.getElementById("brush-size").value = this._sizeMm + step;
    this._onSetting();
  }

  /** Move the brush by a pixel; a push goes along. */
  _step(step) {
    const { rows, columns } = this.viewer.picture;
    const place = (this._place ?? [rows / 2, columns / 2]).map(Math.round);
    this._moveCursor(place.map((value, axis) => Math.min([rows, columns][axis] - 1, Math.max(0, value + step[axis]))));
    if (this.tool !== "push") return;
    this._begin(place);
    if (!this._stroke) return;
    this._extend(place, this._place);
    this._endStroke();
  }

  _stamp() {
    this._begin(this._place);
    if (this._stroke) this._endStroke();
  }
}
