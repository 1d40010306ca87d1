// Problems in words, with what to do about them.

import { h } from "./dom.js";

const ADVICE = {
  401: "Enter a key with the button at the top.",
  413: "Send fewer or smaller pictures.",
  503: "The service is starting or stopping.",
};

/** A place for one notice, which screen readers hear. */
export class Notice {
  constructor() {
    this.element = h("div", { role: "alert" });
  }

  clear() {
    this.waiting = null;
    this.element.replaceChildren();
  }

  /** Show a problem that ended what was asked. */
  show(problem) {
    const lines = problem.fields?.length ? problem.fields.map(({ field, message }) => `${field} ${message}`) : [problem.message];
    this.put(problem.title ?? "Problem", [lines.join("; "), ADVICE[problem.status]].filter(Boolean).join(" "));
  }

  /** Show a wait of so many seconds; null clears it. For `patiently`. Screen readers hear of it once. */
  wait = (problem, left) => {
    if (problem === null) return this.clear();
    if (problem !== this.waiting) {
      this.put(problem.title, `${problem.message} This page is asking again`, true);
      this.waiting = problem;
      this.left = h("span", { "aria-hidden": "true" });
      this.element.querySelector("p").append(this.left);
    }
    this.left.textContent = ` in ${left} s`;
  };

  put(title, text, calm = false) {
    this.waiting = null;
    const notice = h("div", { class: calm ? "notice calm" : "notice" }, h("p", {}, h("strong", {}, `${title}. `), text));
    this.element.replaceChildren(notice);
  }
}
