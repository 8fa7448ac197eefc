// Marching squares at one half of the mask's mean over 3 × 3 pixels: smooth, and accurate to half a
// pixel. Draws the outline of a mask (rows · columns, 0 and 1) over the whole canvas of a view.
export function drawOutline(view, inside, rows, columns, color) {
  const mean = new Float32Array(rows * columns);
  for (let y = 1; y < rows - 1; y++) for (let x = 1; x < columns - 1; x++) {
    let sum = 0;
    for (let d = -1; d <= 1; d++) {
      const p = (y + d) * columns + x;
      sum += inside[p - 1] + inside[p] + inside[p + 1];
    }
    mean[y * columns + x] = sum / 9;
  }
  const across = view.canvas.width / columns, down = view.canvas.height / rows;
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
  view.strokeStyle = "rgb(" + color.join() + ")";
  view.lineWidth = Math.max(2, view.canvas.width / 300);
  view.lineCap = "round";
  view.stroke();
}
