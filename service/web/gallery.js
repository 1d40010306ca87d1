// A table of pictures, one line each, whose lines stay the same elements while what they show changes.

import { h } from "./dom.js";

export class Gallery {
  /** `columns` are headings after the picture; `cells(row)` their contents; `choose(row)` opens one. */
  constructor(label, columns, cells, choose) {
    this.cells = cells;
    this.choose = choose;
    this.lines = new Map();
    this.body = h("tbody");
    const head = ["Preview", "Picture", ...columns].map((text, place) => h("th", { scope: "col", class: place > 2 ? "end" : null }, place ? text : h("span", { class: "sr-only" }, text)));
    this.element = h("div", { class: "scroll gallery", tabindex: 0, role: "region", "aria-label": label, hidden: true }, h("table", {}, h("thead", {}, h("tr", {}, head)), this.body));
  }

  show(rows, chosen) {
    this.element.hidden = !rows.length;
    for (const row of rows) {
      if (!this.lines.has(row)) this.add(row);
      const { line, name, cells } = this.lines.get(row);
      name.disabled = !row.result;
      name.setAttribute("aria-pressed", String(row === chosen));
      line.classList.toggle("chosen", row === chosen);
      this.cells(row).forEach((content, index) => cells[index].replaceChildren(content));
    }
  }

  add(row) {
    const name = h("button", { type: "button", class: "quiet name", title: row.name, onclick: () => this.choose(row) }, row.name);
    const cells = this.cells(row).map((_, index) => h("td", { class: index ? "end number" : null }));
    const picture = h("img", { class: "pixels", src: row.address, alt: "" });
    const line = h("tr", {}, h("td", {}, picture), h("td", {}, name), cells);
    this.lines.set(row, { line, name, cells });
    this.body.append(line);
  }

  clear() {
    for (const { address } of this.lines.keys()) URL.revokeObjectURL(address);
    this.lines.clear();
    this.body.replaceChildren();
    this.element.hidden = true;
  }
}
