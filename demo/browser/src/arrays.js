// Arrays of several dimensions are flat, the last index fastest: frames, slices, rows, columns.

/** Number of elements. */
export const product = (size) => size.reduce((a, b) => a * b, 1);

/** Numbers from 0. */
export const range = (count) => Array.from({ length: count }, (_, n) => n);

/** Where an array of four dimensions has each of its elements in another one. */
export class Layout {
  /**
   * @param size frames, slices, rows and columns.
   * @param strides distance between neighbors along each of them in the other array.
   * @param offset of the first element there.
   */
  constructor(size, strides, offset = 0) {
    Object.assign(this, { size, strides, offset });
  }

  /** The elements in the order of this layout. */
  gather(source) {
    const target = new source.constructor(product(this.size));
    this._forEach((here, there) => { target[here] = source[there]; });
    return target;
  }

  /** The inverse of gather. */
  scatter(source) {
    const target = new source.constructor(source.length);
    this._forEach((here, there) => { target[there] = source[here]; });
    return target;
  }

  _forEach(copy) {
    const [frames, slices, rows, columns] = this.size;
    const [t, z, y, x] = this.strides;
    let here = 0;
    for (let frame = 0; frame < frames; frame++)
      for (let slice = 0; slice < slices; slice++)
        for (let row = 0; row < rows; row++) {
          let there = this.offset + frame * t + slice * z + row * y;
          for (let column = 0; column < columns; column++, there += x) copy(here++, there);
        }
  }
}

/** The box {rows, columns}, each [first, end), that holds all labels, and a margin; or everything. */
export function boundingBox(labels, [height, width], margin = 0) {
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let at = 0, row = 0; at < labels.length; at += width, row = (row + 1) % height)
    for (let column = 0; column < width; column++)
      if (labels[at + column]) {
        top = Math.min(top, row);
        bottom = Math.max(bottom, row);
        left = Math.min(left, column);
        right = Math.max(right, column);
      }
  if (bottom < 0) return { rows: [0, height], columns: [0, width] };
  return {
    rows: [Math.max(top - margin, 0), Math.min(bottom + 1 + margin, height)],
    columns: [Math.max(left - margin, 0), Math.min(right + 1 + margin, width)],
  };
}

/** The box of a stack (Z, H, W), and its size. */
export function cutBox(stack, [slices, height, width], { rows, columns }) {
  const size = [slices, rows[1] - rows[0], columns[1] - columns[0]];
  const out = new stack.constructor(product(size));
  let to = 0;
  for (let z = 0; z < slices; z++)
    for (let row = rows[0]; row < rows[1]; row++, to += size[2]) {
      const from = (z * height + row) * width;
      out.set(stack.subarray(from + columns[0], from + columns[1]), to);
    }
  return [out, size];
}

/** Put a box back where it was cut from. */
export function pasteBox(box, stack, [slices, height, width], { rows, columns }) {
  let from = 0;
  const count = columns[1] - columns[0];
  for (let z = 0; z < slices; z++)
    for (let row = rows[0]; row < rows[1]; row++, from += count)
      stack.set(box.subarray(from, from + count), (z * height + row) * width + columns[0]);
}
