// Solvers and their parameters, from the service's own OpenAPI document.

import { field, h, newId, select } from "./dom.js";
import { digits } from "./numbers.js";

// Ranges that span more than this are walked by factors.
const WIDE = 100;
const NOTCHES = 400;

/** Return `{name, summary, fields, budget}` of every sampler that requests may name. */
export function samplers(document) {
  const schemas = document.components.schemas;
  const byName = schemas.SampleRequest.properties.solver.oneOf.find((choice) => choice.discriminator);
  return Object.entries(byName.discriminator.mapping).map(([name, reference]) => {
    const schema = schemas[reference.split("/").pop()];
    const fields = Object.entries(schema.properties).filter(([key, one]) => key !== "name" && !one.anyOf);
    const summary = schema.description.split("\n\n")[0].replaceAll("\n", " ");
    const price = schema["x-evaluations"];
    const budget = price ? { ...price, most: schema.properties[price.field].maximum } : null;
    return { name, summary, fields, budget };
  });
}

/** The controls of one solver's parameters; `value` is the solver as a request has it. */
export class Parameters {
  constructor(sampler, given = {}) {
    this.value = { name: sampler.name };
    this.kept = Object.fromEntries(Object.entries(given).filter(([key]) => key !== "name" && !sampler.fields.some(([name]) => name === key)));
    const controls = sampler.fields.map(([name, schema]) => this.control(name, schema, given[name] ?? schema.default));
    const heading = h("legend", {}, sampler.name);
    this.element = h("fieldset", { class: "set stack" }, heading, h("p", { class: "small soft" }, sampler.summary), controls);
  }

  /** The solver, with parameters that have no control as they were given. */
  get solver() {
    return { ...this.kept, ...this.value };
  }

  control(name, schema, start) {
    this.value[name] = start;
    const label = name.replaceAll("_", " ");
    if (schema.enum) {
      const choice = select(schema.enum.map((value) => [value, value]), start, () => {
        this.value[name] = choice.value;
      });
      return field(label, choice, schema.description);
    }
    return this.number(name, label, schema, start);
  }

  /** A slider and a number that follow each other. */
  number(name, label, schema, start) {
    const { minimum: low, maximum: high } = schema;
    const isWhole = schema.type === "integer";
    const byFactors = high / Math.max(low, 1e-9) > WIDE;
    const place = (value) => (byFactors ? (NOTCHES * Math.log(value / low)) / Math.log(high / low) : (NOTCHES * (value - low)) / (high - low));
    const at = (notch) => {
      const value = byFactors ? low * (high / low) ** (notch / NOTCHES) : low + (notch / NOTCHES) * (high - low);
      return isWhole ? Math.round(value) : Number(value.toPrecision(3));
    };
    const id = newId();
    const number = h("input", { type: "number", id, min: low, max: high, step: isWhole ? 1 : "any", value: start, "aria-describedby": `${id}-hint`, required: true });
    const slider = h("input", { type: "range", min: 0, max: NOTCHES, step: "any", value: place(start), "aria-label": `${label}, slider`, "aria-valuetext": String(start) });
    const set = (value) => {
      this.value[name] = value;
      slider.setAttribute("aria-valuetext", String(value));
    };
    slider.addEventListener("input", () => {
      number.value = at(Number(slider.value));
      set(Number(number.value));
    });
    // Arrow keys go to the next value, not to the next notch.
    slider.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!way) return;
      event.preventDefault();
      const value = Number(number.value);
      const next = isWhole ? value + way : Number((byFactors ? value * 1.05 ** way : value + (way * (high - low)) / 100).toPrecision(3));
      number.value = Math.min(high, Math.max(low, next));
      slider.value = place(Number(number.value));
      set(Number(number.value));
    });
    number.addEventListener("input", () => {
      if (number.value === "") return;
      slider.value = place(Math.min(high, Math.max(low, Number(number.value))));
      set(Number(number.value));
    });
    const range = `${digits(low)} to ${digits(high)}. `;
    return h(
      "div",
      { class: "field" },
      h("label", { for: id }, label),
      h("div", { class: "pair" }, slider, number),
      h("p", { class: "hint", id: `${id}-hint` }, range, schema.description ?? ""),
    );
  }
}
