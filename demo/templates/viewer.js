"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const [rows, columns] = data.size;
const canvas = $("canvas"), view = canvas.getContext("2d");
const zoom = Math.max(1, Math.ceil(720 / Math.max(columns, rows * data.aspect)));
canvas.width = columns * zoom;
canvas.height = Math.round(rows * data.aspect * zoom);
const buffer = new OffscreenCanvas(columns, rows).getContext("2d", { willReadFrequently: true });
const shown = new ImageData(columns, rows);
const opaque = data.opaque_from * 255;

// Each picture holds gray value, labels and disagreement of a pixel in its red, green and blue.
const images = data.pngs.map((png) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  return image;
});
const decoded = new Map();
const state = { frame: data.ed ?? 0, slice: data.slice, playing: false };

function pixels(at) {
  if (!decoded.has(at)) {
    buffer.drawImage(images[at], 0, 0);
    decoded.set(at, buffer.getImageData(0, 0, columns, rows).data);
  }
  return decoded.get(at);
}

// Label of a pixel in a layer; a byte holds two bits for each layer.
function label(byte, layer) { return (byte >> (2 * layer)) & 3; }

function draw() {
  const at = state.frame * data.slices + state.slice;
  if (!images[at].complete) { images[at].onload = draw; return; }
  const source = pixels(at), target = shown.data;
  const [layer, number] = $("layer").value.split(" "), fill = $("style").value === "fill";
  const opacity = $("opacity").value / 100;
  const width = +$("width").value, low = $("level").value - width / 2;
  for (let i = 0; i < source.length; i += 4) {
    const gray = Math.min(255, Math.max(0, (source[i] - low) * 255 / width));
    let color = data.red, share = 0;
    if (layer === "disagreement") {
      share = opacity * Math.min(1, source[i + 2] / opaque);
    } else if (layer === "difference") {
      share = label(source[i + 1], number) === label(source[i + 1], 0) ? 0 : opacity;
    } else if (layer === "labels" && fill && label(source[i + 1], number)) {
      color = data.colors[label(source[i + 1], number)]; share = opacity * 0.6;
    }
    for (let c = 0; c < 3; c++)
      target[i + c] = share ? gray * (1 - share) + color[c] * share : gray;
    target[i + 3] = 255;
  }
  buffer.putImageData(shown, 0, 0);
  view.globalAlpha = 1;
  view.imageSmoothingEnabled = true;
  view.imageSmoothingQuality = "high";
  view.drawImage(buffer.canvas, 0, 0, canvas.width, canvas.height);
  if (layer === "labels" && !fill) {
    view.globalAlpha = opacity;
    for (const outline of data.outlines) contour(source, number, outline);
  }
  describe();
}

// Marching squares at one half of the mask's mean over 3 × 3 pixels: smooth, and accurate to half a
// pixel.
function contour(source, layer, outline) {
  const inside = new Uint8Array(rows * columns), mean = new Float32Array(rows * columns);
  for (let p = 0; p < inside.length; p++) inside[p] = outline.labels.includes(label(source[4 * p + 1], layer));
  for (let y = 1; y < rows - 1; y++) for (let x = 1; x < columns - 1; x++) {
    let sum = 0;
    for (let d = -1; d <= 1; d++) {
      const p = (y + d) * columns + x;
      sum += inside[p - 1] + inside[p] + inside[p + 1];
    }
    mean[y * columns + x] = sum / 9;
  }
  const across = canvas.width / columns, down = canvas.height / rows;
  view.beginPath();
  for (let y = 0; y < rows - 1; y++) for (let x = 0; x < columns - 1; x++) {
    const p = y * columns + x;
    const corners = [mean[p], mean[p + 1], mean[p + columns + 1], mean[p + columns]];
    const places = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]];
    const crossings = [];
    for (let e = 0; e < 4; e++) {
      const a = corners[e], b = corners[(e + 1) % 4];
      if ((a < 0.5) === (b < 0.5)) continue;
      const t = (0.5 - a) / (b - a), [ax, ay] = places[e], [bx, by] = places[(e + 1) % 4];
      crossings.push([(ax + t * (bx - ax) + 0.5) * across, (ay + t * (by - ay) + 0.5) * down]);
    }
    for (let n = 0; n + 1 < crossings.length; n += 2) {
      view.moveTo(...crossings[n]);
      view.lineTo(...crossings[n + 1]);
    }
  }
  view.strokeStyle = "rgb(" + data.colors[outline.color].join() + ")";
  view.lineWidth = Math.max(2, canvas.width / 300);
  view.lineCap = "round";
  view.stroke();
}

function describe() {
  const phase = state.frame === data.ed ? " (ED)" : state.frame === data.es ? " (ES)" : "";
  $("position").textContent = "phase " + state.frame + phase + ", slice " + state.slice;
  $("frame").value = state.frame;
  $("slice").value = state.slice;
  const head = $("playhead");
  if (head) {
    const x = data.curve.left + data.curve.width * state.frame / Math.max(data.frames - 1, 1);
    head.setAttribute("x1", x);
    head.setAttribute("x2", x);
  }
}

function go(frame, slice) {
  state.frame = (frame + data.frames) % data.frames;
  state.slice = Math.min(data.slices - 1, Math.max(0, slice));
  draw();
}

let timer = 0;
function play(on) {
  state.playing = on && data.frames > 1;
  clearInterval(timer);
  if (state.playing)
    timer = setInterval(() => go(state.frame + 1, state.slice), 1000 / data.frames_per_second);
  $("play").textContent = state.playing ? "Pause" : "Play";
  $("play").setAttribute("aria-pressed", state.playing);
}

const layers = data.layers.map((name, n) => ["labels " + n, name]);
for (let n = 1; n < data.layers.length; n++)
  layers.push(["difference " + n, "Difference to " + data.layers[n]]);
if (data.disagreement) layers.push(["disagreement", "Disagreement"]);
for (const [value, name] of [...layers, ["none", "Image only"]]) $("layer").add(new Option(name, value));
$("frame").max = data.frames - 1;
$("slice").max = data.slices - 1;
$("play").disabled = $("frame").disabled = data.frames < 2;
$("slice").disabled = data.slices < 2;
$("play").onclick = () => play(!state.playing);
$("frame").oninput = () => { play(false); go(+$("frame").value, state.slice); };
$("slice").oninput = () => go(state.frame, +$("slice").value);
for (const id of ["layer", "style", "opacity", "level", "width"]) $(id).oninput = draw;
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, button") && event.key !== "Escape") return;
  const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (step) { if (step[0]) play(false); go(state.frame + step[0], state.slice + step[1]); }
  else if (event.key === " ") play(!state.playing);
  else return;
  event.preventDefault();
});
const svg = document.querySelector("#curve svg");
if (svg) {
  const head = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [key, value] of Object.entries({ id: "playhead", y1: data.curve.top, y2: data.curve.bottom }))
    head.setAttribute(key, value);
  svg.appendChild(head);
  svg.onclick = (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    const share = Math.min(1, Math.max(0, (x - data.curve.left) / data.curve.width));
    play(false);
    go(Math.round(share * (data.frames - 1)), state.slice);
  };
}
for (const { name, color } of data.legend) {
  const item = document.createElement("span"), swatch = document.createElement("i");
  swatch.style.background = "rgb(" + color.join() + ")";
  item.append(swatch, name);
  $("legend").append(item);
}
draw();
play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
