// Numbers as NumPy and Python compute and print them, so that results are the same.

/** Sum in NumPy's order, which differs from the plain one from 8 numbers on. */
export function sum(values) {
  const count = values.length;
  if (count < 8) return values.reduce((total, value) => total + value, 0);
  if (count > 128) {
    const half = Math.floor(count / 2) - (Math.floor(count / 2) % 8);
    const part = (...span) => (values.subarray ? values.subarray(...span) : values.slice(...span));
    return sum(part(0, half)) + sum(part(half));
  }
  const lanes = Array.from(values.slice(0, 8));
  const whole = count - (count % 8);
  for (let n = 8; n < whole; n++) lanes[n % 8] += values[n];
  const [a, b, c, d, e, f, g, h] = lanes;
  let total = a + b + (c + d) + (e + f + (g + h));
  for (let n = whole; n < count; n++) total += values[n];
  return total;
}

export const mean = (values) => sum(values) / values.length;

/** Quantile by linear interpolation. */
export function quantile(values, share) {
  const sorted = Array.from(values).sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

export const median = (values) => quantile(values, 0.5);

/** To the nearest whole number, halves to the even one. */
export function roundHalfEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

/** To the nearest number of half precision, for values 0…1. */
export function toHalf(value) {
  if (!(value > 0)) return value;
  word.float[0] = value;
  const exponent = (word.integer[0] >> 23) - 127;
  const step = 2 ** (Math.max(exponent, -14) - 10);
  return roundHalfEven(value / step) * step;
}
const word = { float: new Float32Array(1) };
word.integer = new Int32Array(word.float.buffer);

/** Python's format(value, ".nf"). */
export function fixed(value, digits) {
  const scaled = value * 10 ** digits;
  const isTie = scaled - Math.floor(scaled) === 0.5 && scaled / 10 ** digits === value;
  return (isTie ? roundHalfEven(scaled) / 10 ** digits : value).toFixed(digits);
}

/** Python's format(value, ".ng"). */
export function general(value, digits = 6) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const trim = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (+power < -4 || +power >= digits) {
    const size = String(Math.abs(power)).padStart(2, "0");
    return `${trim(mantissa)}e${+power < 0 ? "-" : "+"}${size}`;
  }
  return trim(value.toFixed(digits - 1 - power));
}
