// Score: how likely a picture is, what that is made of, and how far it may be off.

import { Asking, rowOf } from "../batches.js";
import { field, h, select } from "../dom.js";
import { Gallery } from "../gallery.js";
import { Notice } from "../notices.js";
import { digits } from "../numbers.js";
import { dropPlace, pasted } from "../pictures.js";
import { errorOf, explain } from "./score_terms.js";

export const id = "score";
export const title = "Score";

export const build = (session) => new Score(session);

class Score {
  constructor(session) {
    this.session = session;
    this.rows = [];
    this.notice = new Notice();
    this.asking = new Asking("/v1/likelihoods", this.notice);
    this.model = select(session.models.map(({ name }) => [name, name]), session.models[0].name, () => this.change());
    this.draws = h("input", { type: "number", min: 1, max: 64, step: 1, value: 4, required: true });
    this.probes = h("input", { type: "number", min: 1, max: 64, step: 1, value: 2, required: true });
    this.label = h("input", { type: "number", min: 0, step: 1, placeholder: "all" });
    this.labelField = h("div");
    this.gallery = new Gallery("Scores", ["Bits per dimension", "± 2 standard errors"], (row) => this.cells(row), (row) => this.choose(row));
    this.status = h("p", { class: "small soft", role: "status" });
    this.terms = h("div", { class: "stack", "aria-live": "polite" });
    this.tools = h("div", { class: "row apart", hidden: true }, this.status, h("button", { type: "button", class: "quiet", onclick: () => this.empty() }, "Clear"));
    const left = h(
      "form",
      { class: "stack", onsubmit: (event) => event.preventDefault() },
      field("Model", this.model),
      this.labelField,
      field("Draws", this.draws, "Dequantizations of each picture, averaged. From two on their error is known."),
      field("Probes", this.probes, "Random vectors that estimate the trace."),
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => this.again() }, "Score again"), this.asking.cancel),
    );
    const right = h("div", { class: "stack" }, dropPlace((pictures) => this.take(pictures)), this.notice.element, this.tools, this.gallery.element, this.terms);
    const intro = h("header", {}, h("h1", {}, "How likely is this picture?"), h("p", {}, "A lower bound on its log-probability under the model, in nats and in bits per dimension: fewer bits are likelier. Each error is told apart."));
    this.element = h("section", { class: "panel" }, intro, h("div", { class: "sides" }, left, right));
    this.onpaste = (event) => this.take(pasted(event));
    this.change();
  }

  /** Begin anew with another model. */
  change() {
    this.empty();
    const { classes } = this.session.model(this.model.value);
    this.label.value = "";
    this.label.max = (classes ?? 1) - 1;
    const words = `From 0 to ${classes - 1}. Left empty, the mean over all classes, at the price of as many scores.`;
    this.labelField.replaceChildren(classes ? field("Class of the pictures", this.label, words) : "");
  }

  enter() {
    document.addEventListener("paste", this.onpaste);
  }

  leave() {
    document.removeEventListener("paste", this.onpaste);
  }

  again() {
    const pictures = this.rows.map(({ name, file }) => ({ name, file }));
    this.empty();
    this.take(pictures);
  }

  async take(pictures, model) {
    if (model && model !== this.model.value) {
      this.model.value = model;
      this.change();
    }
    if (!pictures.length || !this.draws.form.reportValidity()) return;
    const fresh = pictures.map(rowOf);
    this.rows.push(...fresh);
    this.show();
    const parameters = { model: this.model.value, draws: this.draws.value, probes: this.probes.value };
    if (this.label.value !== "") parameters.class_label = this.label.value;
    const { limits } = this.session.model(this.model.value);
    await this.asking.about(fresh, parameters, limits, () => this.show());
    const scored = fresh.find((row) => row.result && this.rows.includes(row));
    if (scored) this.choose(scored);
  }

  empty() {
    this.asking.stop();
    this.gallery.clear();
    this.rows = [];
    this.chosen = null;
    this.terms.replaceChildren();
    this.show();
  }

  show() {
    const scored = this.rows.filter(({ result }) => result).length;
    this.status.textContent = `${scored} of ${this.rows.length} scored`;
    this.tools.hidden = !this.rows.length;
    this.gallery.show(this.rows, this.chosen);
  }

  cells({ result, fault }) {
    if (fault) return [h("span", { class: "small" }, fault), ""];
    if (!result) return ["waiting", ""];
    if (result.status === "failed") return [h("span", { class: "small" }, `not solved: ${result.reason}`), ""];
    const error = errorOf(result);
    return [h("span", { class: "number" }, digits(result.bits_per_dim, 4)), error ? digits(2 * error.bits, 2) : "not known"];
  }

  choose(row) {
    this.chosen = row;
    this.terms.replaceChildren(...explain(row, this.session.model(this.model.value)));
    this.show();
  }
}
