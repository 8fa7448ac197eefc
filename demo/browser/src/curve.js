// The volume of each structure over the cycle, as SVG.

import { COLORS, LV, MYO, NAMES, RV } from "./labels.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [320, 176, 38, 36, 22, 30];

function element(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Draw the curve into `svg`; returns a function that moves the playhead to a frame. */
export function drawCurve(svg, { volumesMl, ed, es }) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const values = volumesMl.flatMap((frame) => Object.values(frame)).filter(Number.isFinite);
  if (volumesMl.length < 3 || !values.length) return () => {};
  const step = niceStep(Math.max(...values, 1) / 4);
  const top = step * Math.ceil(Math.max(...values, 1) / step);
  const x = (frame) => LEFT + ((WIDTH - LEFT - RIGHT) * frame) / (volumesMl.length - 1);
  const y = (ml) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * ml) / top;
  for (let ml = 0; ml <= top; ml += step) {
    svg.append(element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(ml), y2: y(ml), class: "grid" }));
    svg.append(element("text", { x: LEFT - 5, y: y(ml) + 4, "text-anchor": "end" }, ml));
  }
  svg.append(element("text", { x: LEFT - 5, y: TOP - 10, "text-anchor": "end" }, "mL"));
  for (const [name, frame] of [["ED", ed], ["ES", es]])
    svg.append(
      element("line", { x1: x(frame), x2: x(frame), y1: TOP, y2: HEIGHT - BOTTOM, class: "phase" }),
      element("text", { x: x(frame), y: HEIGHT - 14, "text-anchor": "middle" }, `${name} ${frame}`));
  const ends = [];
  for (const s of [LV, RV, MYO]) {
    const points = volumesMl.map((frame, n) => `${x(n)},${y(frame[s])}`).join(" ");
    svg.append(element("polyline", { points, fill: "none", stroke: `rgb(${COLORS[s]})`, "stroke-width": 2 }));
    ends.push([s, y(volumesMl.at(-1)[s])]);
  }
  ends.sort((a, b) => a[1] - b[1]).forEach((end, n) => {
    if (n) end[1] = Math.max(end[1], ends[n - 1][1] + 13); // names must not cover each other
    svg.append(element("text", { x: WIDTH - RIGHT + 5, y: end[1] + 4, fill: `rgb(${COLORS[end[0]]})`, class: "name" },
      NAMES[end[0]]));
  });
  const head = element("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "playhead" });
  svg.append(head);
  return (frame) => { for (const end of ["x1", "x2"]) head.setAttribute(end, x(frame)); };
}

/** The frame, of so many, at which the curve was clicked. */
export function frameAt(svg, event, frames) {
  const box = svg.getBoundingClientRect();
  const x = ((event.clientX - box.left) * WIDTH) / box.width;
  const share = Math.min(1, Math.max(0, (x - LEFT) / (WIDTH - LEFT - RIGHT)));
  return Math.round(share * (frames - 1));
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least);
}
