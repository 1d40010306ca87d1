// Up to four schedules side by side: their curves, and the map over pixels at one time.

import { field, h, select } from "../dom.js";
import { counted, signed } from "../numbers.js";
import { asLink } from "../recipes.js";
import { meanOf } from "../schedules.js";
import { curves, largest, paint, paintNoisy, pixelsAt } from "./inside_chart.js";
import { chosenBy, ofLane, seen } from "./inside_words.js";

const MOST = 4;
const NOTCHES = 100;
// Times at which the scale of the maps is measured.
const LOOKS = [0.1, 0.3, 0.5, 0.7, 0.9];

export class Lanes {
  constructor() {
    this.lanes = [];
    this.slider = h("input", { type: "range", min: 0, max: NOTCHES, value: NOTCHES / 2, "aria-label": "Time t, from picture to noise", oninput: () => this.move() });
    // The slider tells screen readers its time.
    this.time = h("span", { class: "number", "aria-hidden": "true" });
    this.kind = select([["line", "less the straight line"], ["mean", "less the mean of those shown"]], "line", () => this.draw());
    this.chart = h("div");
    this.scale = h("p", { class: "row small soft" });
    this.row = h("div", { class: "lanes maps" });
    this.words = h("ul", { class: "words" });
    this.status = h("p", { class: "small soft", role: "status" });
    this.element = h(
      "div",
      { class: "stack", hidden: true },
      h("h2", {}, "Gamma over time, less the straight line"),
      this.chart,
      h("p", { class: "small soft" }, "Lines are means over pixels, areas hold nine of ten pixels. The dotted line is that of a schedule which is not learned."),
      h("div", { class: "field" }, h("p", { class: "label row apart" }, "Time ", this.time), this.slider),
      h("div", { class: "row apart" }, h("h2", {}, "Gamma in every pixel"), field("The maps show gamma", this.kind)),
      this.row,
      this.scale,
      this.words,
      h("p", { class: "small soft" }, "A picture that was encoded is shown on its way to noise. The way back is under each drawing, as “From noise to image”."),
    );
  }

  /** Forget all, for another model. */
  begin(model) {
    this.model = model;
    this.lanes = [];
    this.element.hidden = true;
    this.status.textContent = "";
  }

  /** Show more schedules, `[{schedule, pictures}]`; those of one latent are one, and the oldest give way. */
  add(found) {
    const fresh = new Map();
    for (const { schedule, pictures } of found) {
      const key = schedule.latent.join(", ");
      const known = fresh.get(key) ?? { ...schedule, key, label: key ? `Latent ${key}` : "Every latent", pictures: [] };
      known.pictures.push(...pictures.filter((one) => !known.pictures.includes(one)));
      fresh.set(key, known);
    }
    const wanted = [...fresh.values()].sort((one, other) => other.pictures.length - one.pictures.length);
    const others = this.lanes.filter(({ key }) => !fresh.has(key));
    const room = Math.max(0, MOST - wanted.length);
    const old = others.slice(Math.max(0, others.length - room));
    this.lanes = [...old, ...wanted.slice(0, MOST)];
    const free = Array.from({ length: MOST }, (_, slot) => slot).filter((slot) => !old.some((lane) => lane.slot === slot));
    for (const lane of this.lanes) if (!old.includes(lane)) lane.slot = free.shift();
    for (const lane of this.lanes) if (!old.includes(lane)) this.prepare(lane);
    this.draw(Math.max(0, wanted.length - MOST));
  }

  remove(lane) {
    this.lanes = this.lanes.filter((one) => one !== lane);
    this.draw();
    (this.row.querySelector("button") ?? this.slider).focus();
  }

  /** Make the parts of a lane that stay the same while time goes. */
  prepare(lane) {
    lane.map = h("canvas", { class: "pixels", role: "img" });
    const request = { model: this.model.name, count: 16, seed: 7, solver: { preset: "balanced" }, latent: lane.latent };
    const parts = [lane.map];
    // A picture of the model's own shape can be shown on its way to noise; a tile of a photograph is not at hand.
    if (lane.pictures.length && this.model.preprocessing === null) {
      lane.noisy = h("canvas", { class: "pixels", role: "img" });
      parts.push(lane.noisy);
      load(lane, this.model).then(() => this.move(), () => lane.noisy.remove());
    }
    const close = h("button", { type: "button", class: "quiet", onclick: () => this.remove(lane), "aria-label": `Remove ${lane.label}` }, "Remove");
    lane.told = h("p", { class: "small soft" });
    lane.element = h(
      "section",
      { class: "lane", "--colour": `var(--series-${lane.slot + 1})`, "aria-label": lane.label },
      h("header", {}, h("h3", {}, lane.label), close),
      h("div", { class: "stack" }, parts, lane.told, h("p", { class: "small soft" }, chosenBy(lane.pictures)), lane.latent.length ? h("a", { class: "small", href: asLink(request, "") }, "Draw with this latent") : null),
    );
  }

  /** Draw all lanes; `left` latents found no room. */
  draw(left = 0) {
    this.element.hidden = !this.lanes.length;
    const shown = `${counted(this.lanes.length, "schedule")} of ${this.model.name}, checkpoint ${this.model.checkpoint.slice(0, 12)}.`;
    this.status.textContent = shown + (left ? ` ${counted(left, "latent")} that fewer pictures chose found no room.` : "");
    if (!this.lanes.length) return;
    const { element, at } = curves(this.lanes);
    this.cursor = at;
    this.chart.replaceChildren(element);
    this.row.replaceChildren(...this.lanes.map((lane) => lane.element));
    this.most = largest(LOOKS.flatMap((t) => this.maps(t)));
    const range = h("span", { class: "scale", "aria-hidden": "true" });
    this.scale.replaceChildren(`${signed(-this.most)}: less noise`, range, `${signed(this.most)}: more noise`);
    this.move();
  }

  /** Return what the maps show at time `t`. */
  maps(t) {
    const values = this.lanes.map((lane) => pixelsAt(lane, t));
    if (this.kind.value === "line") return values;
    const mean = meanOf(values);
    return values.map((one) => one.map((value, place) => value - mean[place]));
  }

  /** Show the time of the slider. */
  move() {
    if (!this.lanes.length) return;
    const t = this.slider.value / NOTCHES;
    this.time.textContent = `t = ${t.toFixed(2)}`;
    this.slider.setAttribute("aria-valuetext", `t = ${t.toFixed(2)}`);
    this.cursor(t);
    const maps = this.maps(t);
    this.lanes.forEach((lane, index) => {
      const values = maps[index];
      paint(lane.map, values, lane.shape, this.most);
      lane.told.textContent = ofLane(lane, t);
      lane.map.setAttribute("aria-label", `Map of ${lane.label} at t = ${t.toFixed(2)}`);
      if (lane.data) {
        paintNoisy(lane.noisy, lane, lane.data, lane.noise, t);
        lane.noisy.setAttribute("aria-label", `${lane.pictures[0].name} at t = ${t.toFixed(2)} on its way to noise`);
      }
    });
    this.words.replaceChildren(...seen(this.lanes, t, this.model).map((sentence) => h("li", {}, sentence)));
  }
}

/** Read the pixels of a lane's first picture in data units, and draw its noise. */
async function load(lane, { vocabulary }) {
  const image = await createImageBitmap(lane.pictures[0].file);
  const [height, width, channels] = lane.shape;
  const canvas = new OffscreenCanvas(width, height);
  const brush = canvas.getContext("2d");
  brush.drawImage(image, 0, 0);
  const { data } = brush.getImageData(0, 0, width, height);
  const size = height * width * channels;
  // A token v stands at 2 (v + 1/2) / V - 1, and the PNG has 255 v / (V - 1).
  lane.data = Float64Array.from({ length: size }, (_, at) => ((vocabulary - 1) / vocabulary) * ((2 * data[4 * Math.floor(at / channels) + (at % channels)]) / 255 - 1));
  lane.noise = Float64Array.from({ length: size }, gaussian);
}

/** Return a standard normal number, by Box and Muller. */
function gaussian() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
