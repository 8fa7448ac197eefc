// A zip of files that are stored as they are (PKWARE APPNOTE 6.3), where no library is at hand.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

/** The check sum of zip files. */
export function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

/** Path to content, as the bytes of a zip. */
export function packZip(files) {
  const parts = [], entries = [];
  let offset = 0;
  const add = (list, bytes) => {
    list.push(bytes);
    return bytes.length;
  };
  for (const [path, content] of Object.entries(files)) {
    const name = new TextEncoder().encode(path);
    const common = [[2, 20], [2, 0x0800], [2, 0], [2, 0], [2, 0x21], [4, crc32(content)], [4, content.length],
      [4, content.length], [2, name.length], [2, 0]]; // names in UTF-8, stored, 1980-01-01
    add(entries, fields([4, 0x02014b50], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]));
    add(entries, name);
    offset += add(parts, fields([4, 0x04034b50], ...common)) + add(parts, name) + add(parts, content);
  }
  const count = Object.keys(files).length;
  const size = entries.reduce((total, part) => total + part.length, 0);
  const end = fields([4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]);
  return join([...parts, ...entries, end]);
}

/** Numbers of so many bytes, the lowest byte first. */
const fields = (...numbers) => Uint8Array.from(numbers.flatMap(([bytes, value]) =>
  Array.from({ length: bytes }, (_, n) => (value >>> (8 * n)) & 255)));

function join(parts) {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
