// Race: several samplers on one seed and one budget, in the same network calls.

import { field, h, select } from "../dom.js";
import { crispWidth, openImage, pngUrl } from "../image.js";
import { runJob } from "../jobs.js";
import { between, readMetrics } from "../metrics.js";
import { Notice } from "../notices.js";
import { counted, digits, seconds, whole } from "../numbers.js";
import { samplers } from "../schema.js";

export const id = "race";
export const title = "Race";

const [FEWEST, MOST] = [2, 4];
const AT_FIRST = new Set(["ddpm", "ddim", "dpm-2m", "rtk-mala"]);
const LOOK_MS = 700;
const CELL = 36;

export const build = (session) => new Race(session);

/** Return the solver with as many steps as the budget pays for; null where it pays for none. */
export function within({ name, budget }, evaluations) {
  const pieces = 1 + Math.floor((evaluations - budget.first) / budget.each);
  return pieces < 1 ? null : { name, [budget.field]: Math.min(pieces, budget.most) };
}

class Race {
  constructor(session) {
    this.session = session;
    this.notice = new Notice();
    this.model = select(session.models.map(({ name }) => [name, name]), session.models[0].name, () => {});
    this.count = h("input", { type: "number", min: 1, max: 16, step: 1, value: 16, required: true });
    this.seed = h("input", { type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, value: 7, required: true });
    this.budget = h("input", { type: "number", min: 2, max: 200, step: 1, value: 24, required: true });
    this.choices = h("div", { class: "stack choices" });
    this.button = h("button", { class: "main", disabled: true }, "Start");
    this.cancel = h("button", { type: "button", hidden: true, onclick: () => this.stop.abort() }, "Cancel");
    this.lanes = h("div", { class: "lanes" });
    this.numbers = h("div", { class: "numbers" });
    this.status = h("p", { role: "status" });
    const form = h(
      "form",
      { class: "stack", onsubmit: (event) => this.start(event) },
      field("Model", this.model),
      h("fieldset", { class: "set stack" }, h("legend", {}, "Samplers, two to four"), this.choices),
      field("Evaluations for each image", this.budget, "The budget: each sampler takes as many steps as it pays for."),
      field("Images", this.count),
      field("Seed", this.seed, "The same noise for all."),
      h("div", { class: "row send" }, this.button, this.cancel),
    );
    const right = h("div", { class: "stack" }, this.notice.element, this.status, this.lanes, this.numbers);
    const intro = h("header", {}, h("h1", {}, "Samplers side by side"), h("p", {}, "All of them run at the same time, and their rows ride in the same network calls: the engine batches steps, not requests."));
    this.element = h("section", { class: "panel" }, intro, h("div", { class: "sides" }, form, right));
    session.openapi().then((document) => this.learn(document), (problem) => this.notice.show(problem));
  }

  learn(document) {
    this.samplers = samplers(document).filter(({ budget }) => budget !== null);
    const boxes = this.samplers.map(({ name, summary }) => {
      const box = h("input", { type: "checkbox", value: name, checked: AT_FIRST.has(name), onchange: () => this.bound() });
      return h("label", { class: "row small", title: summary }, box, name);
    });
    this.choices.replaceChildren(...boxes);
    this.bound();
  }

  get chosen() {
    const names = Array.from(this.choices.querySelectorAll("input:checked"), (box) => box.value);
    return this.samplers.filter(({ name }) => names.includes(name));
  }

  /** No fewer than two, no more than four. */
  bound() {
    const { length } = this.chosen;
    for (const box of this.choices.querySelectorAll("input:not(:checked)")) box.disabled = length >= MOST;
    this.button.disabled = length < FEWEST;
  }

  async start(event) {
    event.preventDefault();
    this.stop?.abort();
    const stop = (this.stop = new AbortController());
    const evaluations = Number(this.budget.value);
    const common = { model: this.model.value, count: Number(this.count.value), seed: Number(this.seed.value) };
    const [, width] = this.session.model(common.model).image_shape;
    const runners = this.chosen.map((sampler, index) => new Runner(within(sampler, evaluations), sampler.name, index, width, this.session));
    this.notice.clear();
    this.numbers.replaceChildren();
    this.lanes.replaceChildren(...runners.map(({ element }) => element));
    this.status.textContent = `${counted(runners.length, "sampler")}, ${evaluations} evaluations for each of ${counted(common.count, "image")}`;
    this.cancel.hidden = false;
    const before = await readMetrics(stop.signal).catch(() => null);
    const looking = this.look(before, stop.signal);
    const runs = runners.map((runner) => runner.run(common, { tell: this.notice.wait, signal: stop.signal }));
    try {
      await Promise.all(runs);
      await this.showNumbers(before);
    } catch (problem) {
      stop.abort();
      if (problem.name !== "AbortError") this.notice.show(problem);
      else this.status.textContent = "Cancelled.";
    } finally {
      clearInterval(looking);
      if (this.stop === stop) this.cancel.hidden = true;
    }
  }

  look(before, signal) {
    const timer = setInterval(() => this.showNumbers(before, signal), LOOK_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    return timer;
  }

  /** Show what the engine did since the start, whoever asked for it. */
  async showNumbers(before, signal) {
    const after = await readMetrics(signal).catch(() => null);
    const found = before && after ? between(before, after) : null;
    if (!found) {
      this.numbers.replaceChildren(h("p", { class: "small soft" }, "The engine's metrics are not on this process; those of its workers tell how full the calls were."));
      return;
    }
    const tile = (value, text) => h("p", { class: "figure-number" }, h("b", {}, value), h("span", {}, text));
    this.numbers.replaceChildren(
      tile(digits(found.perSecond), "evaluations each second"),
      tile(digits(found.rowsPerCall), "rows in a network call"),
      tile(whole(found.calls), `calls for ${whole(found.evaluations)} evaluations`),
    );
  }
}

/** One sampler in its lane. */
class Runner {
  constructor(solver, name, index, width, session) {
    this.solver = solver;
    this.width = width;
    this.session = session;
    this.sheet = h("img", { class: "pixels sheet", alt: `Images of ${name} as they form`, hidden: true });
    this.progress = h("progress", { max: 1, value: 0, "aria-label": `Progress of ${name}` });
    this.note = h("span", { class: "small soft" }, solver ? describe(solver) : "the budget pays for no step");
    this.body = h("div", {}, this.sheet);
    this.element = h("section", { class: "lane stack", "--colour": `var(--series-${index + 1})`, "aria-label": name }, h("header", {}, h("h2", {}, name), this.note), this.progress, this.body);
  }

  async run(common, { tell, signal }) {
    if (!this.solver) return;
    const onProgress = ({ progress, preview }) => {
      this.progress.value = progress;
      if (!preview) return;
      this.sheet.hidden = false;
      this.sheet.src = pngUrl(preview);
    };
    const answer = await runJob("samples", { ...common, solver: this.solver }, { onProgress, tell, signal });
    const { queued_s: queued, running_s: ran } = answer.timing;
    this.progress.value = 1;
    this.note.textContent = `${answer.images[0].nfe} evaluations, ${seconds(queued + ran)}`;
    const cells = answer.images.map((image, index) => {
      const picture = h("img", { class: "pixels", src: pngUrl(image.png), alt: `Image ${index + 1} by ${this.solver.name}` });
      return h("li", {}, h("button", { type: "button", class: "cell", onclick: () => openImage(answer, index, this.session) }, picture));
    });
    this.body.replaceChildren(h("ul", { class: "grid", "--cell": `${crispWidth(this.width, CELL)}px` }, cells));
  }
}

const describe = ({ steps, segments }) => (steps === undefined ? counted(segments, "segment") : counted(steps, "step"));
