// Requests to the service that sent this page. The API key lives in this module's memory and nowhere else.

let key = "";
let askForKey = null;

/** An answer that is a problem by RFC 9457, or none at all: then its code is `lost-connection`. */
export class Problem extends Error {
  constructor(status, body, retryAfter = null) {
    super(body.detail || body.title || "The service did not say what went wrong.");
    this.status = status;
    this.code = body.code || "";
    this.title = body.title || "Problem";
    this.fields = body.errors || [];
    this.retryAfter = retryAfter;
  }
}

/** Name the function that asks a person for a key; it resolves to true once there is another one. */
export function onKeyWanted(ask) {
  askForKey = ask;
}

export function setKey(text) {
  key = text;
}

export const hasKey = () => key !== "";

/** Return the answer to a request. Throws Problem, and AbortError when `signal` says so. */
export async function call(path, { method = "GET", headers = {}, json, body, signal } = {}) {
  const sent = new Headers(headers);
  if (key) sent.set("Authorization", `Bearer ${key}`);
  if (json !== undefined) sent.set("Content-Type", "application/json");
  const content = json === undefined ? body : JSON.stringify(json);
  let answer;
  try {
    answer = await fetch(path, { method, headers: sent, body: content, signal, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "lost-connection", title: "No connection", detail: "The service cannot be reached." });
  }
  if (answer.ok) return answer;
  const problem = await described(answer);
  if (problem.status === 401 && askForKey && (await askForKey(hasKey()))) {
    return call(path, { method, headers, json, body, signal });
  }
  throw problem;
}

/** Return the JSON of an answer. */
export async function getJson(path, options) {
  const answer = await call(path, options);
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "lost-connection", title: "No connection", detail: "The answer broke off." });
  }
}

async function described(answer) {
  const wait = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  let body = {};
  try {
    body = await answer.json();
  } catch {
    body = { title: `Status ${answer.status}`, detail: "The answer was not in the service's form; a proxy may have made it." };
  }
  return new Problem(answer.status, body, Number.isFinite(wait) ? wait : null);
}

/** Wait so many milliseconds. Throws AbortError when `signal` says so. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Return what `attempt` returns. Where the service says when to come back, or cannot be reached, wait
 * that long and try again; `tell(problem, seconds)` hears of it every second. */
export async function patiently(attempt, tell, signal) {
  for (let losses = 0; ; ) {
    try {
      const found = await attempt();
      tell(null, 0);
      return found;
    } catch (problem) {
      const lost = problem.code === "lost-connection";
      if (!(problem instanceof Problem) || (problem.retryAfter === null && !lost)) throw problem;
      losses += lost ? 1 : 0;
      for (let left = lost ? Math.min(2 ** losses, 15) : problem.retryAfter; left > 0; left -= 1) {
        tell(problem, left);
        await pause(1000, signal);
      }
    }
  }
}

/** Return a key for one piece of work, of 128 random bits, so that asking again does not do it twice.
 * `crypto.randomUUID` is missing where the page is not on HTTPS. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
