// Workers that run the networks, each with its own copy: a static server allows no shared memory.

/** More would not fit into the memory of a phone. */
const MAX_WORKERS = 4;

export class Pool {
  /** Workers of a script, with the networks loaded; an error if that takes longer than `maxMs`. */
  static async load(script, count, wasm, models, maxMs = 600_000) {
    const pool = new Pool(script, Math.min(count, MAX_WORKERS));
    try {
      await Promise.race([
        Promise.all(pool._idle.map((runner) => runner.ask({ wasm, models }))),
        new Promise((_, reject) => setTimeout(() => reject(new Error("the networks do not start")), maxMs)),
      ]);
    } catch (error) {
      pool.close();
      throw error;
    }
    return pool;
  }

  constructor(script, count) {
    this._idle = Array.from({ length: count }, () => new Runner(script));
    this._all = [...this._idle];
    this._waiting = [];
  }

  /** The answer to the input that `prepare` makes once a worker is free. */
  async run(prepare) {
    const runner = this._idle.pop() ?? (await new Promise((resolve) => this._waiting.push(resolve)));
    try {
      const input = prepare();
      return await runner.ask(input, [input.slices.buffer]);
    } finally {
      const next = this._waiting.shift();
      if (next) next(runner);
      else this._idle.push(runner);
    }
  }

  close() {
    for (const runner of this._all) runner.close();
  }
}

class Runner {
  constructor(script) {
    this._pending = new Map();
    this._worker = new Worker(script, { type: "module" });
    this._worker.onmessage = ({ data }) => this._settle(data.id, data);
    this._worker.onerror = (event) => {
      for (const id of [...this._pending.keys()]) this._settle(id, { error: event.message ?? "" });
    };
  }

  ask(message, transfer = []) {
    return new Promise((resolve, reject) => {
      const id = this._next = (this._next ?? 0) + 1;
      this._pending.set(id, { resolve, reject });
      this._worker.postMessage({ id, ...message }, transfer);
    });
  }

  close() {
    this._worker.terminate();
  }

  _settle(id, answer) {
    const { resolve, reject } = this._pending.get(id) ?? {};
    this._pending.delete(id);
    if (answer.error === undefined) resolve?.(answer);
    else reject?.(new Error(answer.error));
  }
}
