// The files in a zip, each compared with its check sum, which fflate does not do.

import { strFromU8, unzip } from "fflate";

const END = 0x06054b50, IS_UTF8 = 0x800;
const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** The files of a zip that pass `filter`, by name; rejects one that is damaged or encrypted. */
export async function unzipChecked(bytes, filter) {
  const contents = await new Promise((resolve, reject) =>
    unzip(bytes, { filter }, (error, found) => (error ? reject(error) : resolve(found))));
  const sums = readList(bytes);
  for (const [name, content] of Object.entries(contents))
    if (crc32(content) !== sums.get(name)) throw new Error(`${name} differs from its check sum`);
  return contents;
}

function readList(bytes) {
  try {
    return listSums(bytes);
  } catch { // it leads beyond the end, which must not look like a lack of memory
    throw new Error("the list of files is damaged");
  }
}

/** CRC-32 of every file by name, as the zip's own list, which lies at its end, has it. */
function listSums(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const short = (at) => view.getUint16(at, true), long = (at) => view.getUint32(at, true);
  let end = bytes.length - 22;
  while (long(end) !== END) end--;
  let count = short(end + 10), at = long(end + 16);
  if (count === 0xffff || at === 0xffffffff) { // zip64
    const longEnd = long(end - 12);
    count = long(longEnd + 32);
    at = long(longEnd + 48);
  }
  const sums = new Map();
  for (; count > 0; count--) {
    const name = bytes.subarray(at + 46, at + 46 + short(at + 28));
    sums.set(strFromU8(name, !(short(at + 8) & IS_UTF8)), long(at + 16));
    at += 46 + short(at + 28) + short(at + 30) + short(at + 32);
  }
  return sums;
}

function crc32(bytes) {
  let sum = -1;
  for (let n = 0; n < bytes.length; n++) sum = TABLE[(sum ^ bytes[n]) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}
