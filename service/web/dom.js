// Elements from names, attributes and children. Text is only ever text: nothing here makes markup of it.

const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element; `on…` properties are listeners, `false` and `null` leave an attribute out. */
export function h(tag, properties = {}, ...children) {
  return dress(document.createElement(tag), properties, children);
}

/** Return an SVG element. */
export function s(tag, properties = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), properties, children);
}

function dress(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Return a definition list of pairs; pairs without a value are left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

let last = 0;

/** Return an id that no other element has. */
export function newId() {
  last += 1;
  return `e${last}`;
}

/** Return a labelled field around an input, with a hint below it. */
export function field(label, input, hint = null, beside = null) {
  const id = newId();
  input.id = id;
  const note = hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null;
  if (note) input.setAttribute("aria-describedby", note.id);
  const control = beside ? h("div", { class: "with" }, input, beside) : input;
  return h("div", { class: "field" }, h("label", { for: id }, label), control, note);
}

/** Return a select of options, `[value, text]` or `[group, [[value, text], …]]`. */
export function select(options, chosen, onchange) {
  const option = ([value, text]) => h("option", { value, selected: value === chosen }, text);
  const group = ([name, inner]) => h("optgroup", { label: name }, inner.map(option));
  return h("select", { onchange }, options.map((one) => (Array.isArray(one[1]) ? group(one) : option(one))));
}

/** Show a dialog until it is closed, and return it. */
export function openDialog(title, content, { narrow = false } = {}) {
  const id = newId();
  const close = h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close");
  const head = h("header", {}, h("h2", { id }, title), close);
  const dialog = h("dialog", { class: narrow ? "narrow" : "", "aria-labelledby": id }, head, content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
