// Draw: images from a model, as they form.

import { h } from "../dom.js";
import { crispWidth, openImage, pngUrl } from "../image.js";
import { runJob } from "../jobs.js";
import { Notice } from "../notices.js";
import { counted, digits, seconds, whole } from "../numbers.js";
import { fromLink, resolved, showRecipes } from "../recipes.js";
import { Controls } from "./draw_controls.js";

export const id = "draw";
export const title = "Draw";

const FIRST = { count: 16, seed: 7 };
const CELL = 76;

export function build(session) {
  return new Draw(session);
}

class Draw {
  constructor(session) {
    this.session = session;
    this.notice = new Notice();
    this.controls = new Controls(session);
    this.button = h("button", { class: "main" }, "Draw");
    this.cancel = h("button", { type: "button", hidden: true, onclick: () => this.stop.abort() }, "Cancel");
    this.progress = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Progress of the drawing" });
    this.status = h("p", { class: "soft small", role: "status" });
    this.sheet = h("img", { class: "pixels sheet", alt: "The images as they form" });
    this.stage = h("div", { class: "stack" }, this.welcome());
    const form = h("form", { class: "stack", onsubmit: (event) => this.submit(event) }, this.controls.element, h("div", { class: "row send" }, this.button, this.cancel));
    const right = h("div", { class: "stack" }, this.notice.element, this.progress, this.status, this.stage);
    this.element = h("section", { class: "panel" }, h("h1", { class: "sr-only" }, "Draw images"), h("div", { class: "sides" }, form, right));
  }

  welcome() {
    const first = this.session.models[0];
    const go = h("button", { type: "button", class: "main", onclick: () => this.draw({ model: first.name, ...FIRST }) }, `Draw ${FIRST.count} images`);
    return [
      h("p", { class: "lead" }, "MULAN is a diffusion model that learned how fast each pixel should turn to noise. This service draws images with it, tells how likely an image is, and flags the ones that are not like the rest."),
      h("p", {}, go),
    ];
  }

  /** Draw what a link describes. */
  open(query) {
    try {
      const request = fromLink(query);
      history.replaceState(null, "", "#draw");
      this.controls.set(request);
      this.draw(request);
    } catch {
      this.notice.put("Not a link of this page", "The address has parts that cannot be read.");
    }
  }

  submit(event) {
    event.preventDefault();
    this.draw(this.controls.request);
  }

  async draw(request) {
    this.stop?.abort();
    const stop = new AbortController();
    this.stop = stop;
    this.begin(request);
    try {
      const answer = await runJob("samples", request, { onProgress: (news) => this.advance(news), tell: this.notice.wait, signal: stop.signal });
      if (this.stop === stop) this.finish(request, answer);
    } catch (problem) {
      // Another drawing has begun in its place: what becomes of this one is not shown.
      if (this.stop === stop) this.fail(problem);
    } finally {
      if (this.stop === stop) this.rest();
    }
  }

  fail(problem) {
    this.stage.replaceChildren(...this.welcome());
    this.status.textContent = problem.name === "AbortError" ? "Cancelled: its rows left the engine before the next network call." : "";
    if (problem.name !== "AbortError") this.notice.show(problem);
  }

  begin({ model, count }) {
    const [height, width] = this.session.model(model).image_shape;
    this.frames = [];
    this.painted = 0;
    this.notice.clear();
    this.progress.hidden = this.cancel.hidden = false;
    this.progress.value = 0;
    this.status.textContent = `Drawing ${counted(count, "image")}`;
    const cells = Array.from({ length: Math.min(count, 64) }, () => h("li", {}, h("div", { class: "cell empty", "--shape": `${width} / ${height}` })));
    this.stage.replaceChildren(h("ul", { class: "grid", "--cell": `${crispWidth(width, CELL)}px`, "aria-hidden": "true" }, cells));
  }

  advance({ progress, preview }) {
    this.progress.value = progress;
    if (!preview) return;
    this.frames.push(preview);
    // Of previews that come faster than the screen is drawn, the latest counts.
    if (this.frames.length - this.painted === 1) requestAnimationFrame(() => this.paint());
  }

  paint() {
    if (this.progress.hidden) return;
    this.painted = this.frames.length;
    this.sheet.src = pngUrl(this.frames.at(-1));
    if (this.stage.firstChild !== this.sheet) this.stage.replaceChildren(this.sheet);
  }

  finish(request, answer) {
    const [, width] = this.session.model(answer.model).image_shape;
    const nfe = answer.images.reduce((sum, image) => sum + image.nfe, 0);
    const { queued_s: queued, running_s: ran } = answer.timing;
    this.status.textContent = `${counted(answer.images.length, "image")} in ${seconds(queued + ran)}, ${whole(nfe)} evaluations, ${digits(nfe / Math.max(ran, 1e-3))} each second`;
    const cells = answer.images.map((image, index) => {
      const picture = h("img", { class: "pixels", src: pngUrl(image.png), alt: `Image ${index + 1} of ${answer.images.length}` });
      return h("li", {}, h("button", { type: "button", class: "cell", onclick: () => openImage(answer, index, this.session) }, picture));
    });
    const again = resolved(request, answer);
    this.controls.set({ ...request, seed: answer.seed });
    this.stage.replaceChildren(
      h("ul", { class: "grid", "--cell": `${crispWidth(width, CELL)}px`, "aria-label": "Drawn images" }, cells),
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => showRecipes(again) }, "Use it elsewhere"), h("p", { class: "small soft" }, `Seed ${answer.seed}. Choose an image for its facts.`)),
      this.replay() ?? "",
    );
  }

  /** A slider over the previews that came, or null where there were too few. */
  replay() {
    if (this.frames.length < 2) return null;
    const { frames } = this;
    const image = h("img", { class: "pixels sheet", alt: "The first images on their way from noise", src: pngUrl(frames[0]) });
    const slider = h("input", { type: "range", min: 0, max: frames.length - 1, value: 0, "aria-label": "Time, from noise to image" });
    slider.addEventListener("input", () => {
      image.src = pngUrl(frames[slider.value]);
    });
    return h("details", {}, h("summary", {}, "From noise to image"), h("div", { class: "stack" }, h("p", {}, slider), image));
  }

  rest() {
    this.progress.hidden = this.cancel.hidden = true;
  }
}
