// Judge: which pictures are not like the good ones, where, and why.

import { getJson } from "../api.js";
import { Asking, rowOf } from "../batches.js";
import { csv, save } from "../csv.js";
import { field, h, select } from "../dom.js";
import { Notice } from "../notices.js";
import { counted, digits } from "../numbers.js";
import { Gallery } from "../gallery.js";
import { dropPlace, pasted } from "../pictures.js";
import { explain } from "./judge_why.js";

export const id = "judge";
export const title = "Judge";

const AT_FIRST = 0.05;
const NOTCHES = 200;

export const build = (session) => new Judge(session);

/** How strange a picture is; one that failed is stranger than all others. */
const height = ({ result }) => result.score ?? Infinity;

class Judge {
  constructor(session) {
    this.session = session;
    this.rows = [];
    this.alpha = AT_FIRST;
    this.calibrations = new Map();
    this.notice = new Notice();
    this.asking = new Asking("/v1/anomalies", this.notice);
    const able = session.models.filter(({ calibration }) => calibration !== null);
    this.model = select(able.map(({ name }) => [name, name]), able[0]?.name, () => this.change());
    this.about = h("p", { class: "small soft" });
    this.slider = h("input", { type: "range", min: 0, max: NOTCHES, value: 0, "aria-label": "Rate of false alarms" });
    this.slider.addEventListener("input", () => this.judgeAgain(this.rateAt(this.slider.value)));
    this.alphaText = h("output", { class: "number" });
    this.summary = h("p", { role: "status" });
    this.gallery = new Gallery("Verdicts", ["Verdict", "p-value", "Score"], (row) => this.cells(row), (row) => this.choose(row));
    this.why = h("div", { class: "stack", "aria-live": "polite" });
    this.tools = h("div", { class: "row apart", hidden: true }, this.summary, h("div", { class: "row" }, h("button", { type: "button", onclick: () => this.export() }, "Export CSV"), h("button", { type: "button", class: "quiet", onclick: () => this.empty() }, "Clear")));
    const alpha = h("div", { class: "field" }, h("p", { class: "label row apart" }, "Rate of false alarms ", this.alphaText), this.slider, h("p", { class: "hint" }, "Of pictures like the good ones, at most this share is flagged. Moving it asks nothing again."));
    const left = h("div", { class: "stack" }, field("Model", this.model), this.about, alpha, this.asking.cancel);
    const right = h("div", { class: "stack" }, dropPlace((pictures) => this.take(pictures)), this.notice.element, this.tools, this.gallery.element, this.why);
    const intro = h("header", {}, h("h1", {}, "Is something wrong with this picture?"), h("p", {}, "Each picture is ranked among good ones that the model was calibrated on. The p-value is the share of those that look at least as strange."));
    this.element = h("section", { class: "panel" }, intro, h("div", { class: "sides" }, left, right));
    this.onpaste = (event) => this.take(pasted(event));
    if (able.length) this.change();
    else this.notice.put("No model can judge", "None of them has a calibration; see mulan models calibrate.");
  }

  enter() {
    document.addEventListener("paste", this.onpaste);
  }

  leave() {
    document.removeEventListener("paste", this.onpaste);
  }

  get calibration() {
    return this.calibrations.get(this.model.value);
  }

  /** The rate at a notch of the slider: from the smallest that flags anything to a half, by factors. */
  rateAt(notch) {
    const least = this.calibration.smallest_alpha;
    return Number((least * (0.5 / least) ** (notch / NOTCHES)).toPrecision(3));
  }

  async change() {
    this.empty();
    const { name, preprocessing, calibration, image_shape: [height, width, channels], vocabulary } = this.session.model(this.model.value);
    const label = calibration.solver?.class_label;
    this.about.textContent = preprocessing
      ? "Whole photographs of any size: PNG, JPEG, BMP, TIFF or WebP."
      : `PNGs of ${width} × ${height}, ${channels === 1 ? "grey" : "colour"}, ${vocabulary} levels.`;
    if (label !== undefined) this.about.textContent += ` Good ones are of class ${label}.`;
    try {
      if (!this.calibrations.has(name)) this.calibrations.set(name, await getJson(`/v1/models/${encodeURIComponent(name)}/calibration`));
      const least = this.calibration.smallest_alpha;
      const rate = Math.max(AT_FIRST, least);
      this.slider.value = Math.round((NOTCHES * Math.log(rate / least)) / Math.log(0.5 / least));
      this.judgeAgain(rate);
    } catch (problem) {
      this.notice.show(problem);
    }
  }

  /** Judge pictures, with those before them. */
  async take(pictures, model) {
    if (model && model !== this.model.value) {
      this.model.value = model;
      await this.change();
    }
    if (!pictures.length) return;
    const fresh = pictures.map(rowOf);
    this.rows.push(...fresh);
    this.show();
    const { limits } = this.session.model(this.model.value);
    const parameters = { model: this.model.value, heatmap: true };
    await this.asking.about(fresh, parameters, limits, () => this.show());
    const judged = fresh.filter((row) => row.result && this.rows.includes(row));
    if (judged.length) this.choose(judged.reduce((one, other) => (height(other) > height(one) ? other : one)));
  }

  isStrange(verdict) {
    return verdict.p_value <= this.alpha;
  }

  judgeAgain(alpha) {
    this.alpha = alpha;
    const text = `${digits(100 * this.alpha)} %`;
    this.alphaText.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
    this.show();
    if (this.chosen) this.choose(this.chosen);
  }

  empty() {
    this.asking.stop();
    this.gallery.clear();
    this.rows = [];
    this.chosen = null;
    this.why.replaceChildren();
    this.show();
  }

  show() {
    const judged = this.rows.filter(({ result }) => result);
    const strange = judged.filter(({ result }) => this.isStrange(result)).length;
    this.summary.textContent = `${strange} of ${counted(judged.length, "picture")} flagged`;
    this.tools.hidden = !this.rows.length;
    this.gallery.show(this.rows, this.chosen);
  }

  /** The verdict in a word: what the page shows, and what the CSV has. */
  word({ result, fault }) {
    if (fault) return "not judged";
    return !result ? "waiting" : this.isStrange(result) ? "strange" : "usual";
  }

  cells(row) {
    const { result, fault } = row;
    const word = this.word(row);
    const note = fault ?? (result?.status === "failed" ? `not solved: ${result.reason}` : "");
    const verdict = h("span", {}, h("span", { class: `verdict ${word.replace(" ", "-")}` }, word), note ? h("span", { class: "small" }, ` ${note}`) : "");
    return [verdict, result ? digits(result.p_value) : "", result ? digits(result.score) : ""];
  }

  choose(row) {
    this.chosen = row;
    this.why.replaceChildren(...explain(row, this.calibration, this.alpha));
    this.show();
  }

  export() {
    const names = this.calibration.statistics.map(({ name }) => name);
    const head = ["picture", "verdict", "p_value", "score", "alpha", "model", "reason", ...names];
    const lines = this.rows.map((row) => {
      const { name, result, fault } = row;
      const values = names.map((one) => result?.statistics[one]);
      return [name, this.word(row), result?.p_value, result?.score, this.alpha, this.model.value, fault ?? result?.reason, ...values];
    });
    save(`verdicts-${this.model.value}.csv`, csv([head, ...lines]));
  }
}
