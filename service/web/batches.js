// Many pictures, asked about in parts that one request may hold.

import { call, patiently } from "./api.js";
import { formOf, parts } from "./pictures.js";

const AT_ONCE = 16;
// The rest is for what a form adds to its files.
const SHARE_OF_BODY = 0.7;
const REFUSALS = [400, 413, 415, 422];

/** Return a picture as a row of a table: `result` and `fault` come later. */
export function rowOf({ name, file }) {
  return { name, file, address: URL.createObjectURL(file), result: null, fault: null };
}

/** Ask about rows, part by part; each gets its `result`, or the `fault` for which it was refused. */
export async function ask(path, rows, parameters, limits, { tell, signal, onAnswer }) {
  const bounds = { most: Math.min(AT_ONCE, limits.max_images), bytes: SHARE_OF_BODY * limits.max_body_bytes };
  const together = async (part) => {
    const send = () => call(path, { method: "POST", body: formOf(part, parameters), signal });
    try {
      const { results } = await (await patiently(send, tell, signal)).json();
      results.forEach((result, index) => (part[index].result = result));
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
