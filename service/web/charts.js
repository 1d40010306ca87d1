// Drawings of numbers.

import { h, s } from "./dom.js";
import { digits } from "./numbers.js";

const WIDTH = 420;
const BINS = 40;

/** Return a histogram of ascending values, with a mark. Bars at or beyond `from` stand out. A mark that
 * lies far outside stands at the edge, with an arrow. */
export function histogram(values, { from, mark, label, height = 110 }) {
  const span = values.at(-1) - values[0] || 1;
  const [least, most] = [values[0] - span / 2, values.at(-1) + span];
  const outside = mark < least ? "← " : mark > most ? "→ " : "";
  const low = Math.min(values[0], Math.max(mark, least));
  const high = Math.max(values.at(-1), Math.min(mark, most));
  const step = (high - low) / BINS || 1;
  const counts = new Array(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor((value - low) / step))] += 1;
  const tallest = Math.max(...counts);
  const x = (value) => ((value - low) / (step * BINS)) * WIDTH;
  const bars = counts.map((count, bin) => {
    const tall = (count / tallest) * (height - 22);
    const kind = low + (bin + 0.5) * step >= from ? "bar beyond" : "bar";
    return count ? s("rect", { class: kind, x: (bin * WIDTH) / BINS + 0.5, y: height - tall, width: WIDTH / BINS - 1, height: tall, rx: 1 }) : null;
  });
  const at = Math.min(WIDTH - 1, Math.max(1, x(mark)));
  const side = at > WIDTH / 2 ? { x: at - 6, "text-anchor": "end" } : { x: at + 6 };
  return s(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDTH} ${height + 18}`, role: "img", "aria-label": label },
    bars,
    s("path", { class: "axis", d: `M0 ${height}H${WIDTH}` }),
    s("path", { class: "mark", d: `M${at} 2V${height}` }),
    s("text", { class: "mark-text", y: 11, ...side }, `this one: ${outside}${digits(mark)}`),
    s("text", { x: x(values[0]), y: height + 14 }, digits(values[0])),
    s("text", { x: x(values.at(-1)), y: height + 14, "text-anchor": "end" }, digits(values.at(-1))),
  );
}

/** Return bars to the left and right of 0, `[{name, value, note}]`, with room for names. */
export function deviations(rows, label) {
  const most = Math.max(3, ...rows.map(({ value }) => Math.abs(value)));
  return h(
    "table",
    {},
    h("caption", {}, label),
    h("tbody", {}, rows.map(({ name, value, note }) => h("tr", {}, h("td", {}, h("span", {}, note), h("br"), h("code", { class: "soft" }, name)), h("td", {}, bar(value, most)), h("td", { class: "end number" }, `${value > 0 ? "+" : "−"}${digits(Math.abs(value), 2)} sd`)))),
  );
}

function bar(value, most) {
  const wide = (Math.abs(value) / most) * 58;
  const strange = Math.abs(value) >= 2;
  return s(
    "svg",
    { viewBox: "0 0 120 12", width: 120, height: 12, "aria-hidden": "true", class: "chart" },
    s("path", { class: "axis", d: "M60 0V12" }),
    s("rect", { class: strange ? "bar beyond" : "bar", x: value < 0 ? 60 - wide : 60, y: 2, width: wide, height: 8, rx: 1 }),
  );
}

/** Return a line of numbers over time, each `[name, values]` a line of its own colour. */
export function lines(series, label, { height = 90, points = 60 } = {}) {
  const top = Math.max(1e-9, ...series.flatMap(([, values]) => values));
  const path = (values) =>
    values.map((value, index) => `${index ? "L" : "M"}${((index + points - values.length) * WIDTH) / (points - 1)} ${height - (value / top) * (height - 14)}`).join("");
  return s(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDTH} ${height + 4}`, role: "img", "aria-label": label },
    s("path", { class: "axis", d: `M0 ${height}H${WIDTH}` }),
    s("text", { x: 0, y: 10 }, digits(top)),
    series.map(([, values], index) => s("path", { class: "line", d: path(values), stroke: `var(--series-${(index % 4) + 1})` })),
  );
}
