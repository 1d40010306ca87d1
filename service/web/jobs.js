// A job from its creation to its result: queued once, watched by events, resumed where a connection breaks.

import { call, getJson, patiently, pause, Problem, randomKey } from "./api.js";

const ENDS = new Set(["succeeded", "failed", "cancelled", "timed-out"]);

/** Return the result of a job. `onProgress({progress, preview})` hears of its course, and
 * `tell(problem, seconds)` of waits. An abort of `signal` cancels the job. */
export async function runJob(kind, request, { onProgress, tell, signal }) {
  // One key for every attempt: a request whose answer was lost is not done twice.
  const headers = { "Idempotency-Key": randomKey() };
  const create = () => getJson("/v1/jobs", { method: "POST", headers, json: { kind, request }, signal });
  const { id } = await patiently(create, tell, signal);
  try {
    await watch(id, onProgress, tell, signal);
    return await patiently(() => getJson(`/v1/jobs/${id}/result`, { signal }), tell, signal);
  } catch (error) {
    if (error.name === "AbortError") call(`/v1/jobs/${id}`, { method: "DELETE" }).catch(() => {});
    throw error;
  }
}

/** Return when the job has ended. */
async function watch(id, onProgress, tell, signal) {
  let last = null;
  for (let losses = 0; ; losses += 1) {
    try {
      const headers = last === null ? {} : { "Last-Event-ID": last };
      const answer = await call(`/v1/jobs/${id}/events`, { headers, signal });
      for await (const event of events(answer.body)) {
        tell(null, 0);
        losses = 0;
        if (event.id !== null) last = event.id;
        if (event.name === "progress") onProgress(JSON.parse(event.data));
        if (ENDS.has(event.name)) return;
      }
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (error instanceof Problem && error.status && error.retryAfter === null) throw error;
    }
    const wait = Math.min(2 ** losses, 15);
    if (losses) tell(new Problem(0, { code: "lost-connection", title: "No connection", detail: "The events broke off." }), wait);
    await pause(wait * 250, signal);
  }
}

/** Yield the server-sent events of a body: `{id, name, data}`. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { id: null, name: "message", data: [] };
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\r|\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (event.data.length) yield { ...event, data: event.data.join("\n") };
          event = { id: null, name: "message", data: [] };
          continue;
        }
        const colon = line.indexOf(":");
        if (colon === 0) continue;
        const name = colon < 0 ? line : line.slice(0, colon);
        const content = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (name === "id") event.id = content;
        if (name === "event") event.name = content;
        if (name === "data") event.data.push(content);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
