// Runs the two graphs in a worker of its own. Two builds of it differ in the runtime that they hold.

const FILES = ["whole", "heart"];
/** Largest share of the pixels of a probe that a GPU may label in another way than the CPU. */
const MAX_DIFFERENCE = 0.002;
const PROBE_SIDE = 96;

/** Answer the messages of a pool: {models}, then inputs of the graphs. */
export function serve(ort, provider) {
  const sessions = {};
  onmessage = async ({ data }) => {
    try {
      postMessage({ id: data.id, ...(data.models ? await load(data) : await run(sessions, data)) });
    } catch (error) {
      postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  };

  async function load({ wasm, models }) {
    ort.env.wasm.numThreads = 1; // more would need headers that a static server does not send
    ort.env.wasm.wasmBinary = wasm;
    ort.env.logLevel = "error";
    for (const name of FILES) if (models[name]) sessions[name] = await start(models[name], provider);
    if (provider !== "wasm") await compare(models);
    return {};
  }

  const start = (model, on) => ort.InferenceSession.create(new Uint8Array(model), {
    executionProviders: [on],
    logSeverityLevel: 3, // errors
  });

  /** Refuse a GPU whose labels are not those of the CPU. */
  async function compare(models) {
    for (const name of FILES.filter((key) => models[key])) {
      const onCpu = { [name]: await start(models[name], "wasm") };
      const input = { onHeart: name === "heart", slices: probe(), size: [PROBE_SIDE, PROBE_SIDE], spacingMm: [1.5, 1.5] };
      const [expected, got] = [await run(onCpu, input), await run(sessions, input)];
      const different = got.labels.filter((label, at) => label !== expected.labels[at]).length;
      await onCpu[name].release();
      if (different > MAX_DIFFERENCE * expected.labels.length) throw new Error("the GPU computes something else");
    }
  }

  async function run(loaded, { onHeart, slices, size, spacingMm }) {
    const count = slices.length / (size[0] * size[1]);
    const spacings = Float32Array.from({ length: 2 * count }, (_, n) => spacingMm[n % 2]);
    const answer = await loaded[onHeart ? "heart" : "whole"].run({
      slices: new ort.Tensor("float32", slices, [count, 1, ...size]),
      spacing_mm: new ort.Tensor("float32", spacings, [count, 2]),
    });
    return { labels: answer.labels.data, disagreement: Float32Array.from(answer.disagreement.data) };
  }
}

/** A picture like a heart: a bright LV in a dark ring, and an RV beside it. */
function probe() {
  const middle = PROBE_SIDE / 2;
  return Float32Array.from({ length: PROBE_SIDE ** 2 }, (_, at) => {
    const y = Math.floor(at / PROBE_SIDE) - middle, x = (at % PROBE_SIDE) - middle;
    const radius = Math.hypot(y, x);
    if (radius < 16) return 200;
    if (radius < 22) return 60;
    return Math.hypot(y, x + 24) < 18 ? 190 : 90 + 20 * Math.sin(x / 5) * Math.cos(y / 7);
  });
}
