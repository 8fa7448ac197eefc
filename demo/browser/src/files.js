// The networks and the runtime: fetched once with progress, then kept in the browser's cache.

const CACHE = "ctct";

export class NetworkError extends Error {}

/** The content of files [{path, bytes, sha256}], by path. */
export async function fetchAll(files, onShare) {
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  let done = 0;
  const contents = {};
  for (const file of files)
    contents[file.path] = await fetchOne(file, (count) => onShare((done += count) / total));
  return contents;
}

/** Drop kept files that are not among these, of an earlier version of the page. */
export async function dropOthers(files) {
  const cache = await openCache();
  const kept = new Set(files.map(keyOf));
  for (const request of (await cache?.keys()) ?? [])
    if (!kept.has(request.url)) await cache.delete(request);
}

const keyOf = ({ path, sha256 }) => new URL(`${path}?${sha256}`, location.href).href;

/** The cache; none where the page was not loaded safely, or the browser keeps nothing. */
async function openCache() {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}

async function fetchOne(file, onBytes) {
  const cache = await openCache();
  const kept = await cache?.match(keyOf(file));
  if (kept) {
    const content = await kept.arrayBuffer();
    if (content.byteLength === file.bytes) {
      onBytes(file.bytes);
      return content;
    }
  }
  const content = await download(file, onBytes);
  await cache?.put(keyOf(file), new Response(content)).catch(() => {}); // a full disk is no failure
  return content.buffer;
}

async function download(file, onBytes) {
  const content = new Uint8Array(file.bytes);
  let length = 0;
  try {
    const response = await fetch(keyOf(file));
    if (!response.ok) throw new NetworkError(`the server answers ${response.status} for ${file.path}`);
    for (const reader = response.body.getReader();;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (length + value.length > file.bytes) throw new NetworkError(`${file.path} has another size than expected`);
      content.set(value, length);
      length += value.length;
      onBytes(value.length);
    }
  } catch (error) {
    if (error instanceof NetworkError) throw error;
    throw new NetworkError(`the connection was lost while ${file.path} was loaded`);
  }
  if (length !== file.bytes) throw new NetworkError(`${file.path} arrived incomplete`);
  return content;
}
