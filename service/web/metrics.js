// The service's own metrics, from the text format of Prometheus, and how they change.

import { call } from "./api.js";

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const ESCAPES = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

/** Metrics at one time. */
export class Metrics {
  constructor(text, time) {
    this.time = time;
    this.samples = new Map();
    for (const line of text.split("\n")) {
      const match = line[0] === "#" ? null : SAMPLE.exec(line);
      if (!match) continue;
      const labels = Object.fromEntries(Array.from((match[2] ?? "").matchAll(LABEL), ([, name, value]) => [name, value.replace(/\\[n"\\]/g, (escape) => ESCAPES[escape])]));
      const found = this.samples.get(match[1]) ?? [];
      found.push({ labels, value: Number(match[3]) });
      this.samples.set(match[1], found);
    }
  }

  /** Return the samples of a metric. */
  of(name) {
    return this.samples.get(`mulan_${name}`) ?? [];
  }

  /** Return the sum of a metric's samples that have these labels. */
  sum(name, wanted = {}) {
    const fits = ({ labels }) => Object.entries(wanted).every(([label, value]) => labels[label] === value);
    return this.of(name).filter(fits).reduce((total, { value }) => total + value, 0);
  }
}

/** Read the metrics as they are now. */
export async function readMetrics(signal) {
  const answer = await call("/metrics", { signal });
  return new Metrics(await answer.text(), performance.now() / 1000);
}

/** Return how the engine worked between two readings; null where it made no call. */
export function between(before, after) {
  const grew = (name, labels) => after.sum(name, labels) - before.sum(name, labels);
  const calls = grew("engine_batch_rows_count");
  const seconds = after.time - before.time;
  const evaluations = grew("row_evaluations_total");
  if (calls <= 0) return null;
  return {
    calls,
    evaluations,
    rowsPerCall: grew("engine_batch_rows_sum") / calls,
    perSecond: evaluations / seconds,
    ticksPerSecond: grew("engine_tick_seconds_count") / seconds,
    parts: growths(before, after, "engine_tick_part_seconds_total", "part"),
    reasons: growths(before, after, "engine_calls_total", "reason"),
  };
}

/** Return by how much a metric grew, by the values of a label. */
function growths(before, after, name, label) {
  const values = [...new Set(after.of(name).map(({ labels }) => labels[label]))];
  return new Map(values.map((value) => [value, after.sum(name, { [label]: value }) - before.sum(name, { [label]: value })]));
}
