// The form of a drawing: model, number, seed, and the way from noise to image.

import { field, h, select } from "../dom.js";
import { Parameters, samplers } from "../schema.js";

const PRESETS = [
  ["fast", "fast"],
  ["balanced", "balanced"],
  ["best", "best"],
];
const MOST_SEED = Number.MAX_SAFE_INTEGER;

/** Return the numbers in a field, parted by spaces or commas. */
const numbers = (input) => input.value.split(/[\s,]+/).filter(Boolean).map(Number);

export class Controls {
  constructor(session) {
    this.session = session;
    this.solvers = [];
    this.parameters = null;
    this.latent = h("input", { type: "text", placeholder: "drawn for each image", inputmode: "numeric" });
    this.latentField = h("div");
    this.label = h("input", { type: "text", placeholder: "drawn for each image", inputmode: "numeric" });
    this.labelField = h("div");
    this.model = select(session.models.map(({ name }) => [name, name]), session.models[0].name, () => this.choose());
    this.count = h("input", { type: "number", min: 1, step: 1, value: 16, required: true });
    this.seed = h("input", { type: "number", min: 0, max: MOST_SEED, step: 1, value: 7, required: true });
    const dice = h("button", { type: "button", onclick: () => this.roll(), "aria-label": "Another seed" }, "New");
    this.how = select(this.ways(), "balanced", () => this.showParameters());
    this.place = h("div");
    this.about = h("p", { class: "hint" });
    this.element = h(
      "div",
      { class: "stack" },
      h("div", {}, field("Model", this.model), this.about),
      field("Images", this.count),
      field("Seed", this.seed, "The same seed draws the same images.", dice),
      field("Solver", this.how),
      this.place,
      this.latentField,
      this.labelField,
    );
    this.about.classList.add("soft", "small");
    this.choose();
    session.openapi().then((document) => this.learn(document), () => {});
  }

  learn(document) {
    this.solvers = samplers(document);
    this.how.replaceWith((this.how = this.refreshed()));
    if (this.pending) this.set(this.pending);
  }

  refreshed() {
    const fresh = select(this.ways(), this.how.value, () => this.showParameters());
    fresh.id = this.how.id;
    return fresh;
  }

  ways() {
    return [
      ["Presets, tuned for the model", PRESETS],
      ["Solvers, with their parameters", this.solvers.map(({ name }) => [name, name])],
    ].filter(([, inner]) => inner.length);
  }

  choose() {
    const model = this.session.model(this.model.value);
    const [height, width, channels] = model.image_shape;
    this.count.max = model.limits.max_images;
    this.about.textContent = `${height} × ${width}, ${channels === 1 ? "grey" : "colour"}, ${model.vocabulary} levels`;
    const { n, k } = model.latent;
    this.latent.value = "";
    const hint = `${k === 1 ? "An index" : `${k} distinct indices`} from 0 to ${n - 1} fixes it for all images.`;
    this.latentField.replaceChildren(n ? field("Latent", this.latent, hint) : "");
    this.label.value = "";
    const words = `From 0 to ${model.classes - 1}: one for all images, or one for each.`;
    this.labelField.replaceChildren(model.classes ? field("Class", this.label, words) : "");
  }

  showParameters(given = {}) {
    const sampler = this.solvers.find(({ name }) => name === this.how.value);
    this.parameters = sampler ? new Parameters(sampler, given) : null;
    this.place.replaceChildren(this.parameters ? this.parameters.element : "");
  }

  roll() {
    this.seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
  }

  get request() {
    const request = { model: this.model.value, count: Number(this.count.value), seed: Number(this.seed.value) };
    request.solver = this.parameters ? this.parameters.solver : { preset: this.how.value };
    const latent = numbers(this.latent);
    if (latent.length) request.latent = latent;
    const labels = numbers(this.label);
    if (labels.length) request.class_label = labels.length === 1 ? labels[0] : labels;
    return request;
  }

  /** Show a request; its solver once the solvers are known. */
  set({ model, count, seed, solver, latent, class_label: labels }) {
    this.model.value = this.session.model(model).name;
    this.choose();
    this.count.value = count;
    this.seed.value = seed;
    this.latent.value = Array.isArray(latent) ? latent.join(", ") : "";
    this.label.value = [labels ?? []].flat().join(", ");
    const name = solver?.preset ?? solver?.name ?? "balanced";
    if (solver?.name && !this.solvers.length) {
      this.pending = { model, count, seed, solver, latent, class_label: labels };
      return;
    }
    this.pending = null;
    this.how.value = name;
    this.showParameters(solver);
  }
}
