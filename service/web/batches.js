// Many pictures, asked about in parts that one request may hold.

import { call, patiently, randomKey } from "./api.js";
import { h } from "./dom.js";
import { formOf, parts } from "./pictures.js";

const AT_ONCE = 16;
// The rest is for what a form adds to its files.
const SHARE_OF_BODY = 0.7;
const REFUSALS = [400, 413, 415, 422];

/** Return a picture as a row of a table: `result` and `fault` come later. */
export function rowOf({ name, file }) {
  return { name, file, address: URL.createObjectURL(file), result: null, fault: null };
}

/** Requests about pictures that run, with the button that cancels all of them. `results(answer, part)` returns the result
 * of each picture of a part. */
export class Asking {
  constructor(path, notice, results = (answer) => answer.results) {
    this.path = path;
    this.notice = notice;
    this.results = results;
    this.running = 0;
    this.cancel = h("button", { type: "button", hidden: true, onclick: () => this.stop() }, "Cancel");
  }

  stop() {
    this.controller?.abort();
  }

  /** Return when each row has a result or a fault; `onAnswer` hears of every part. */
  async about(rows, parameters, limits, onAnswer) {
    if (!this.running || this.controller.signal.aborted) this.controller = new AbortController();
    this.running += 1;
    this.cancel.hidden = false;
    this.notice.clear();
    try {
      await ask(this.path, rows, parameters, limits, { results: this.results, tell: this.notice.wait, signal: this.controller.signal, onAnswer });
    } catch (problem) {
      if (problem.name !== "AbortError") this.notice.show(problem);
    } finally {
      this.running -= 1;
      this.cancel.hidden = !this.running;
      for (const row of rows) if (!row.result) row.fault ??= "the request was stopped";
      onAnswer();
    }
  }
}

/** Ask about rows, part by part; each gets its `result`, or the `fault` for which it was refused. */
async function ask(path, rows, parameters, limits, { results, tell, signal, onAnswer }) {
  const bounds = { most: Math.min(AT_ONCE, limits.max_images), bytes: SHARE_OF_BODY * limits.max_body_bytes };
  const together = async (part) => {
    const headers = { "Idempotency-Key": randomKey() };
    const send = () => call(path, { method: "POST", headers, body: formOf(part, parameters), signal });
    try {
      const answer = await (await patiently(send, tell, signal)).json();
      results(answer, part).forEach((result, index) => (part[index].result = result));
    } catch (problem) {
      if (problem.name === "AbortError" || !REFUSALS.includes(problem.status)) throw problem;
      // One that is refused does not take its neighbours with it.
      if (part.length > 1) for (const row of part) await together([row]);
      else part[0].fault = problem.fields.map(({ message }) => message).join("; ") || problem.message;
    }
    onAnswer();
  };
  for (const part of parts(rows, bounds)) await together(part);
}
