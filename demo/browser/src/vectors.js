// Vectors of three numbers.

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const norm = (a) => Math.sqrt(dot(a, a));
export const unit = (a) => a.map((value) => value / norm(a));
export const minus = (a, b) => a.map((value, n) => value - b[n]);
export const times = (a, factor) => a.map((value) => value * factor);
export const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
