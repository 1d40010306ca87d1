// The choice of a latent by hand: k ones among n.

import { field, h } from "../dom.js";

// Latents longer than this are written, not ticked.
const TICKED = 128;

export class LatentChoice {
  /** `choose(ones)` hears of each latent that was chosen, by the indices of its ones. */
  constructor({ n, k }, choose) {
    this.size = { n, k };
    this.choose = choose;
    this.button = h("button", { class: "main" }, "Show its schedule");
    this.hint = h("p", { class: "hint small soft", role: "status" });
    const form = h("form", { class: "stack", onsubmit: (event) => this.submit(event) }, n > TICKED ? this.written() : this.ticked(), h("div", { class: "row" }, this.button));
    this.element = n ? form : h("p", { class: "small soft" }, "This model has no latent, and so one schedule.");
    if (n <= TICKED) this.bound();
  }

  /** Return a few latents to begin with. */
  first(count) {
    const { n, k } = this.size;
    return Array.from({ length: Math.min(count, Math.floor(n / k)) }, (_, index) => Array.from({ length: k }, (_one, one) => index * k + one));
  }

  ticked() {
    const { n, k } = this.size;
    const boxes = Array.from({ length: n }, (_, index) => {
      const box = h("input", { type: "checkbox", value: index, onchange: () => this.bound(box) });
      return h("label", { class: "tick" }, box, h("span", {}, String(index)));
    });
    this.boxes = h("div", { class: "ticks" }, boxes);
    return h("fieldset", { class: "set stack" }, h("legend", {}, `Latent: ${k} of ${n}`), this.boxes, this.hint);
  }

  written() {
    const { n, k } = this.size;
    this.text = h("input", { type: "text", inputmode: "numeric", required: true });
    return field("Latent", this.text, `${k} distinct indices from 0 to ${n - 1}.`);
  }

  get ones() {
    if (this.text) return this.text.value.split(/[\s,]+/).filter(Boolean).map(Number);
    return Array.from(this.boxes.querySelectorAll("input:checked"), (box) => Number(box.value));
  }

  /** Let no more than k be ticked; where k is 1, the last one counts. */
  bound(last) {
    const { k } = this.size;
    if (k === 1 && last?.checked) for (const box of this.boxes.querySelectorAll("input:checked")) box.checked = box === last;
    const left = k - this.ones.length;
    for (const box of this.boxes.querySelectorAll("input:not(:checked)")) box.disabled = k > 1 && left <= 0;
    this.button.disabled = left !== 0;
    this.hint.textContent = left === 0 ? "" : k === 1 ? "Tick one." : `Tick ${left} more.`;
  }

  submit(event) {
    event.preventDefault();
    this.choose(this.ones);
  }
}
