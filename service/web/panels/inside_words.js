// What is seen in noise schedules, in plain sentences.

import { counted, digits } from "../numbers.js";
import { between, departures, line, summary } from "../schedules.js";
import { NOTHING } from "./inside_chart.js";

/** Return sentences on lanes beside each other at time `t`. */
export function seen(lanes, t, model) {
  const widest = Math.max(...lanes.flatMap(({ upper, lower }) => upper.map((value, at) => value - lower[at])));
  if (widest < NOTHING) return alike(lanes, model);
  if (t === 0 || t === 1) return ["At both ends gamma is the same in every pixel, whatever was learned.", ...cautions(model)];
  const maps = lanes.map((lane) => departures(lane, t));
  const sd = Math.sqrt(maps.reduce((sum, values) => sum + summary(values).sd ** 2, 0) / maps.length);
  return [lanes.length > 1 ? comparison(sd, between(maps)) : `Pixels differ by ${digits(sd, 2)} (standard deviation).`, ...cautions(model)];
}

/** Return a sentence on one lane at time `t`. */
export function ofLane(lane, t) {
  const { mean, lower, upper } = summary(departures(lane, t));
  const straight = line(lane, t);
  const gamma = (value) => digits(value, 4).replace("-", "−");
  const where = Math.abs(mean) < NOTHING ? "on the straight line" : `${digits(Math.abs(mean), 2)} ${mean < 0 ? "below" : "above"} the straight line`;
  const start = `Gamma is ${gamma(straight + mean)} on average, ${where}`;
  if (upper - lower < NOTHING) return `${start}, and the same in every pixel.`;
  return `${start}; nine of ten pixels have ${gamma(straight + lower)} to ${gamma(straight + upper)}.`;
}

/** For schedules that are one curve for all pixels. */
function alike([first, ...others], model) {
  const far = Math.max(...first.mean.map((value, at) => Math.abs(value - line(first, first.times[at]))));
  const same = others.length ? " in each of these schedules" : "";
  if (!model.latent.n) return ["The same in every pixel and at every time: this model has no learned schedule, and gamma is a straight line."];
  if (far < NOTHING) return [`The same in every pixel${same}: the model learned nothing but the straight line.`];
  return [`The same in every pixel${same}: gamma is one curve, at most ${digits(far, 2)} from the straight line.`];
}

function comparison(pixels, latents) {
  const numbers = `(standard deviations ${digits(pixels, 2)} and ${digits(latents, 2)})`;
  if (latents < NOTHING) return "These latents have one and the same schedule: the model's schedule does not heed the latent.";
  if (latents < pixels / 5) return `Pixels of one schedule differ much more than one pixel between these latents ${numbers}: the schedule hardly heeds the latent.`;
  return `Pixels of one schedule, and one pixel between these latents, differ ${numbers}.`;
}

/** What the card warns of. */
function cautions(model) {
  const share = model.evaluation?.schedule?.by_patch;
  if (share === null || share === undefined) return [];
  const start = `By the model's card, ${Math.round(100 * share)} % of the variance between pixels goes with a pixel's place in the patches in which the network sees an image`;
  return [`${start}: do not read ${share > 0.5 ? "the pattern" : "that part of it"} as structure of the images.`];
}

/** Return how many pictures chose a latent, and which. */
export function chosenBy(pictures) {
  if (!pictures.length) return "Chosen by hand.";
  return pictures.length === 1 ? `Encoded from ${pictures[0].name}.` : `Encoded from ${counted(pictures.length, "picture")}.`;
}
