// Why a picture was judged as it was: its rank, its strange places and its strange statistics, in words.

import { deviations, histogram } from "../charts.js";
import { h } from "../dom.js";
import { heatOver } from "../heat.js";
import { counted, digits } from "../numbers.js";

// Standard deviations from which a statistic is called strange.
const FAR = 2;
const SHOWN = 8;

/** Return the explanation of one picture's verdict, for a rate of false alarms. */
export function explain({ name, address, result: verdict }, calibration, alpha) {
  const title = h("h2", {}, name);
  if (verdict.status === "failed") return [title, h("p", {}, `The picture could not be solved (${verdict.reason}); it counts as stranger than all others.`)];
  const strange = verdict.p_value <= alpha;
  const { scores } = calibration;
  const edge = thresholdOf(scores, calibration.failed, alpha);
  const beyond = Math.round(verdict.p_value * (scores.length + calibration.failed + 1)) - 1;
  const rank = `${strange ? "Strange" : "Usual"}: ${counted(beyond, `good ${calibration.ranked.slice(0, -1)}`)} of ${scores.length + calibration.failed} ${beyond === 1 ? "looks" : "look"} at least as strange.`;
  const chart = histogram(scores, { from: edge, mark: verdict.score, label: `Scores of ${scores.length} good ${calibration.ranked}, and this score, ${digits(verdict.score)}` });
  const left = h("div", { class: "stack" }, heatOver(address, verdict, name), places(verdict));
  const right = h("div", { class: "stack" }, h("p", {}, rank), chart, h("p", { class: "small soft" }, `Scores of good ${calibration.ranked}; red ones would be flagged too.`));
  return [title, h("div", { class: "open-image" }, left, right), statistics(verdict, calibration)];
}

/** Return the score from which pictures are flagged: the smallest whose p-value is at most alpha. */
export function thresholdOf(scores, failed, alpha) {
  const most = Math.floor(alpha * (scores.length + failed + 1) + 1e-9) - 1 - failed;
  if (most < 0) return Infinity;
  // A score above this one has at most `most` good ones at or beyond it.
  return most < scores.length ? scores[scores.length - 1 - most] + 1e-12 : -Infinity;
}

function places({ regions }) {
  if (!regions) return null;
  if (!regions.length) return h("p", { class: "small soft" }, "No place is hotter than those of good pictures.");
  const text = regions.slice(0, 5).map((one) => h("li", {}, `${one.width} × ${one.height} at ${one.x}, ${one.y}: p = ${digits(one.p_value)}`));
  return h("div", {}, h("h3", {}, counted(regions.length, "strange place")), h("ul", { class: "small" }, text));
}

function statistics({ deviations: found }, calibration) {
  const words = new Map(calibration.statistics.map(({ name, description }) => [name, description]));
  const rows = Object.entries(found ?? {})
    .map(([name, value]) => ({ name, value, note: words.get(name) ?? name }))
    .sort((one, other) => Math.abs(other.value) - Math.abs(one.value));
  if (!rows.length) return h("p", { class: "soft" }, "No statistic of this verdict has a usual value to compare with.");
  const far = rows.filter(({ value }) => Math.abs(value) >= FAR);
  const most = far[0] && `Strangest: ${trimmed(far[0].note)}, ${digits(Math.abs(far[0].value), 2)} standard deviations ${far[0].value > 0 ? "above" : "below"} good ones.`;
  const lead = most ?? "No statistic alone is far from its usual value; the score rests on how they go together.";
  return h("div", { class: "stack" }, h("p", {}, lead), deviations(rows.slice(0, SHOWN), "Statistics, in standard deviations from their mean in good images"));
}

const trimmed = (sentence) => sentence.replace(/\.$/, "").replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
