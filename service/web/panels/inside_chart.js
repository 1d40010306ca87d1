// Drawings of noise schedules: curves over time, and maps over pixels.

import { s } from "../dom.js";
import { digits, signed } from "../numbers.js";
import { departures, line, overChannels } from "../schedules.js";

const [WIDE, NARROW, HEIGHT, LEFT, TOP] = [640, 340, 210, 44, 10];
const FLOOR = HEIGHT - 34;
// Below this a departure is a rounding error of float32.
export const NOTHING = 1e-4;
const LESS = [38, 96, 150];
const EVEN = [240, 238, 231];
const MORE = [176, 66, 28];

/** Return the curves of some lanes, less the straight line, with a mark at a time that `at(t)` moves. */
export function curves(lanes) {
  const [first] = lanes;
  const width = matchMedia("(max-width: 40rem)").matches ? NARROW : WIDE;
  const right = width - 12;
  const less = (values) => values.map((value, index) => value - line(first, first.times[index]));
  const drawn = lanes.map((one) => ({ ...one, mean: less(one.mean), lower: less(one.lower), upper: less(one.upper) }));
  const ends = drawn.flatMap(({ lower, mean, upper }) => [...lower, ...mean, ...upper, 0]);
  const wide = Math.max(NOTHING, Math.max(...ends) - Math.min(...ends));
  const [low, high] = [Math.min(...ends) - 0.06 * wide, Math.max(...ends) + 0.06 * wide];
  const x = (t) => LEFT + t * (right - LEFT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (FLOOR - TOP);
  const path = (values, times) => values.map((value, index) => `${index ? "L" : "M"}${x(times[index]).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const areas = drawn.map(({ lower, upper, times, slot }) => {
    const back = path(lower.toReversed(), times.toReversed()).replace("M", "L");
    return s("path", { class: "share", d: `${path(upper, times)}${back}Z`, fill: `var(--series-${slot + 1})` });
  });
  const means = drawn.map(({ mean, times, slot }) => s("path", { class: "line", d: path(mean, times), stroke: `var(--series-${slot + 1})` }));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((t) => [s("path", { class: "axis", d: `M${x(t)} ${FLOOR}v4` }), s("text", { x: x(t), y: FLOOR + 17, "text-anchor": "middle" }, digits(t))]);
  const marked = [...new Set([Math.max(...ends), 0, Math.min(...ends)])].filter((value) => value === 0 || Math.abs(y(value) - y(0)) > 14);
  const heights = marked.map((value) => s("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, signed(value)));
  const cursor = s("path", { class: "cursor" });
  const element = s(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": described(drawn) },
    areas,
    s("path", { class: "axis", d: `M${LEFT} ${TOP}V${FLOOR}H${right}` }),
    s("path", { class: "straight", d: `M${LEFT} ${y(0)}H${right}` }),
    means,
    ticks,
    heights,
    s("text", { x: right, y: HEIGHT - 2, "text-anchor": "end" }, "noise: t = 1"),
    s("text", { x: LEFT, y: HEIGHT - 2 }, "picture: t = 0"),
    cursor,
  );
  return { element, at: (t) => cursor.setAttribute("d", `M${x(t)} ${TOP}V${FLOOR}`) };
}

/** The curves in words, for who does not see them. */
function described(lanes) {
  const told = lanes.map(({ label, mean, lower, upper, times }) => {
    const most = mean.reduce((far, value, at) => (Math.abs(value) > Math.abs(mean[far]) ? at : far), 0);
    const wide = upper.reduce((far, value, at) => (value - lower[at] > upper[far] - lower[far] ? at : far), 0);
    return `${label}: mean ${signed(mean[most])} at t = ${digits(times[most])}, nine of ten pixels from ${signed(lower[wide])} to ${signed(upper[wide])} at t = ${digits(times[wide])}`;
  });
  return `Gamma over t less the straight line. ${told.join(". ")}`;
}

/** Paint values of pixels: blue below 0, white at 0, red above, full at `most` from it. */
export function paint(canvas, values, [height, width], most) {
  fill(canvas, height, width, (at) => {
    const share = Math.max(-1, Math.min(1, values[at] / most));
    const end = share < 0 ? LESS : MORE;
    return EVEN.map((even, channel) => even + Math.abs(share) * (end[channel] - even));
  });
}

/** Paint a picture `[H, W, C]` in data units as it is at time `t`: x_t = alpha x + sigma noise. */
export function paintNoisy(canvas, schedule, pixels, noise, t) {
  const [height, width, channels] = schedule.shape;
  const above = departures(schedule, t);
  const straight = line(schedule, t);
  fill(canvas, height, width, (place) =>
    [0, 1, 2].map((colour) => {
      const at = place * channels + Math.min(colour, channels - 1);
      const gamma = straight + above[at];
      const x = pixels[at] / Math.sqrt(1 + Math.exp(gamma)) + noise[at] / Math.sqrt(1 + Math.exp(-gamma));
      return 127.5 * (x + 1);
    }),
  );
}

function fill(canvas, height, width, colourAt) {
  [canvas.width, canvas.height] = [width, height];
  const brush = canvas.getContext("2d");
  const image = brush.createImageData(width, height);
  for (let place = 0; place < height * width; place += 1) image.data.set([...colourAt(place), 255], 4 * place);
  brush.putImageData(image, 0, 0);
}

/** Return the largest departure of a pixel from 0 at any of a few times, the scale of all maps. */
export function largest(maps) {
  let most = NOTHING;
  for (const values of maps) for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

/** Return the departures of pixels at `t`, averaged over channels. */
export const pixelsAt = (lane, t) => overChannels(departures(lane, t), lane.shape);
