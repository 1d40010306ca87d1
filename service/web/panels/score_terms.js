// One likelihood: its terms as steps, its errors as an interval, and where it lies among test images.

import { facts, h, s } from "../dom.js";
import { digits, whole } from "../numbers.js";

const WIDTH = 560;
const LEFT = 128;
const ROW = 26;
const NAMES = {
  prior: "noise it becomes",
  log_det: "change of volume",
  dequantization: "dequantization",
  latent: "latent",
};
// Over all classes that term is what it costs not to know which one it is.
const OVER_CLASSES = { ...NAMES, latent: "share of classes" };

/** Return the standard error of a likelihood, in nats and in bits per dimension; null where none is known. */
export function errorOf(result) {
  const known = [result.trace_standard_error, result.draw_standard_error].filter((error) => error !== null);
  if (!known.length) return null;
  const nats = Math.hypot(...known);
  return { nats, bits: Math.abs((nats * result.bits_per_dim) / result.log_px_lower_bound) };
}

/** Return the explanation of one picture's likelihood. */
export function explain({ name, address, result }, model) {
  const title = h("h2", {}, name);
  if (result.status === "failed") return [title, h("p", {}, `The picture could not be solved: ${result.reason}.`)];
  const picture = h("img", { class: "pixels", src: address, alt: name });
  const error = errorOf(result);
  const nats = (value) => (value === null ? null : `${digits(value)} nats`);
  const byClass = result.log_px_given_class;
  const known = facts([
    ["Class", result.class_label === undefined ? null : String(result.class_label)],
    ["Likeliest class", byClass ? String(byClass.indexOf(Math.max(...byClass))) : null],
    ["Bits per dimension", `${digits(result.bits_per_dim, 4)}${error ? ` ± ${digits(2 * error.bits, 2)}` : ""}`],
    ["Log-probability, at least", `${digits(result.log_px_lower_bound, 5)} nats`],
    ["Error from probes", nats(result.trace_standard_error)],
    ["Error from draws", nats(result.draw_standard_error) ?? "not known from one draw"],
    ["Error of the ODE", nats(result.ode_error_estimate)],
    ["Evaluations", whole(result.nfe)],
  ]);
  return [title, h("div", { class: "open-image" }, picture, h("div", { class: "stack" }, known, beside(result, error, model))), steps(result)];
}

/** The picture's bits per dimension on an axis with the card's test images. */
function beside(result, error, model) {
  const card = model.evaluation?.likelihood?.ode;
  const value = result.bits_per_dim;
  const wide = error ? 2 * error.bits : 0;
  const mean = card?.bound.mean ?? value;
  const spread = card ? card.bound.standard_error * Math.sqrt(card.images) : Math.max(wide, 0.1);
  const low = Math.min(mean - 3 * spread, value - 1.5 * wide);
  const high = Math.max(mean + 3 * spread, value + 1.5 * wide);
  const x = (bits) => 10 + ((bits - low) / (high - low)) * 400;
  const band = card && [
    s("rect", { class: "band", x: x(mean - 2 * spread), y: 20, width: x(mean + 2 * spread) - x(mean - 2 * spread), height: 24, rx: 3 }),
    s("path", { class: "axis", d: `M${x(mean)} 16V48` }),
    s("text", { x: x(mean), y: 62, "text-anchor": "middle" }, digits(mean)),
  ];
  const label = card ? `Bits per dimension of this picture, ${digits(value)}, beside ${card.images} test images, ${digits(mean)} on average` : `Bits per dimension of this picture, ${digits(value)}`;
  const drawing = s(
    "svg",
    { class: "chart", viewBox: "0 0 420 68", role: "img", "aria-label": label },
    band,
    s("path", { class: "axis", d: "M10 32H410" }),
    s("path", { class: "mark", d: `M${x(value - wide)} 32H${x(value + wide)}M${x(value - wide)} 27V37M${x(value + wide)} 27V37` }),
    s("circle", { class: "whole", cx: x(value), cy: 32, r: 4.5 }),
    s("text", { class: "mark-text", x: Math.min(395, Math.max(25, x(value))), y: 12, "text-anchor": "middle" }, digits(value, 4)),
  );
  const note = card ? `The band holds the card's ${card.images} test images: mean ± 2 standard deviations. The bar is this picture ± 2 standard errors.` : "This model's card has no likelihoods of test images.";
  return h("div", {}, drawing, h("p", { class: "small soft" }, note));
}

/** The terms as steps that add up to the bound. */
function steps({ terms, log_px_lower_bound: bound, log_px_given_class: byClass }) {
  const names = byClass ? OVER_CLASSES : NAMES;
  const shown = Object.entries(terms).filter(([, value]) => value !== null && value !== 0);
  let sum = 0;
  const rows = shown.map(([name, value]) => {
    const from = sum;
    sum += value;
    return { name: names[name] ?? name, from, to: sum, value, kind: value < 0 ? "minus" : "plus" };
  });
  rows.push({ name: "the bound", from: 0, to: bound, value: bound, kind: "whole" });
  const ends = rows.flatMap(({ from, to }) => [from, to]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const x = (nats) => LEFT + ((nats - low) / (high - low || 1)) * (WIDTH - LEFT - 70);
  const bars = rows.map(({ name, from, to, value, kind }, index) => {
    const [left, right] = [x(Math.min(from, to)), x(Math.max(from, to))];
    const y = index * ROW;
    return [
      s("text", { x: LEFT - 10, y: y + 16, "text-anchor": "end" }, name),
      s("rect", { class: kind, x: left, y: y + 5, width: Math.max(1.5, right - left), height: ROW - 10, rx: 2 }),
      s("text", { class: "mark-text", x: right + 6, y: y + 16 }, `${value > 0 ? "+" : "−"}${digits(Math.abs(value), 4)}`),
    ];
  });
  const zero = s("path", { class: "axis", d: `M${x(0)} 0V${rows.length * ROW}` });
  const label = rows.map(({ name, value }) => `${name} ${digits(value, 4)}`).join(", ");
  const drawing = s("svg", { class: "chart wide", viewBox: `0 0 ${WIDTH} ${rows.length * ROW}`, role: "img", "aria-label": `Terms in nats: ${label}` }, zero, bars);
  return h("div", {}, h("h3", {}, "What the bound is made of, in nats"), drawing);
}
