// Live: what the engine does now, from the service's metrics.

import { pause } from "../api.js";
import { lines } from "../charts.js";
import { h } from "../dom.js";
import { between, readMetrics } from "../metrics.js";
import { Notice } from "../notices.js";
import { digits, whole } from "../numbers.js";

export const id = "live";
export const title = "Live";

const LOOK_MS = 1000;
const REMEMBERED = 60;
// Rates are over so many readings: a tick of a large network takes longer than a second.
const OVER = 5;
const REASONS = {
  drained: "no more rows were there",
  full: "the tick was full",
  resident: "no more rows may begin",
};

export const build = () => new Live();

class Live {
  constructor() {
    this.notice = new Notice();
    this.history = { evaluations: [], rows: [] };
    this.numbers = h("div", { class: "numbers" });
    this.course = h("div", { class: "stack" });
    this.lanes = h("div", { class: "scroll" });
    this.parts = h("div", { class: "stack" });
    const boards = h("p", { class: "small soft" }, "From ", h("a", { href: "/metrics" }, "/metrics"), " of this process, once a second. Grafana boards of the whole fleet are in the repository's folder deploy/grafana.");
    const intro = h("header", {}, h("h1", {}, "What the engine does now"), h("p", {}, "In each tick every running row is evaluated once, in calls that rows of all requests share."));
    this.element = h("section", { class: "panel stack" }, intro, this.notice.element, this.numbers, this.course, this.parts, this.lanes, boards);
  }

  enter() {
    this.stop = new AbortController();
    this.watch(this.stop.signal).catch((problem) => {
      if (problem.name !== "AbortError") this.notice.show(problem);
    });
  }

  leave() {
    this.stop.abort();
  }

  async watch(signal) {
    let readings = [];
    for (;;) {
      // A page that nobody sees asks for nothing.
      if (!document.hidden) {
        try {
          const now = await readMetrics(signal);
          this.notice.clear();
          if (readings.length) this.show(readings[0], now);
          readings = [...readings.slice(1 - OVER), now];
        } catch (problem) {
          if (problem.code !== "lost-connection") throw problem;
          this.notice.put(problem.title, `${problem.message} This page looks again every second.`, true);
          readings = [];
        }
      }
      await pause(LOOK_MS, signal);
    }
  }

  show(before, now) {
    const engine = between(before, now);
    this.remember("evaluations", engine?.perSecond ?? 0);
    this.remember("rows", engine?.rowsPerCall ?? 0);
    const tile = (value, text) => h("p", { class: "figure-number" }, h("b", {}, value), h("span", {}, text));
    this.numbers.replaceChildren(
      tile(digits(engine?.perSecond ?? 0), "evaluations each second"),
      tile(engine ? digits(engine.rowsPerCall) : "–", "rows in a network call"),
      tile(digits(engine?.ticksPerSecond ?? 0), "ticks each second"),
      tile(whole(now.sum("queue_jobs", { state: "running" })), "jobs run"),
      tile(whole(now.sum("queue_jobs", { state: "queued" })), "jobs wait"),
      tile(whole(now.sum("queue_cost_row_evaluations")), "evaluations wait, as predicted"),
    );
    this.course.replaceChildren(
      h("div", { class: "lanes" }, this.line("evaluations", "Evaluations each second, over the last minute"), this.line("rows", "Rows in a network call, over the last minute")),
    );
    if (engine) this.parts.replaceChildren(share("Where the time of ticks goes", engine.parts, (name) => name), share("Why calls took no more rows", engine.reasons, (name) => REASONS[name] ?? name));
    this.lanes.replaceChildren(lanes(now));
  }

  remember(name, value) {
    this.history[name].push(value);
    if (this.history[name].length > REMEMBERED) this.history[name].shift();
  }

  line(name, text) {
    return h("figure", {}, h("figcaption", { class: "small soft" }, text), lines([[name, this.history[name]]], text, { points: REMEMBERED }));
  }
}

/** A bar divided by share, with a legend; parts below a hundredth are left out of the legend. */
function share(text, parts, words) {
  const total = [...parts.values()].reduce((sum, value) => sum + value, 0) || 1;
  const shown = [...parts].map(([name, value], index) => ({ name: words(name), part: value / total, tint: `tint-${index % 7}` }));
  const bar = h("div", { class: "stacked", "aria-hidden": "true" }, shown.map(({ part, tint }) => h("span", { class: tint, "--part": part })));
  const legend = h("ul", { class: "legend" }, shown.filter(({ part }) => part >= 0.01).map(({ name, part, tint }) => h("li", {}, h("i", { class: tint }), `${name} ${digits(100 * part, 2)} %`)));
  return h("div", {}, h("h2", {}, text), bar, legend);
}

/** The rows inside the engine, by model and solver. */
function lanes(now) {
  const found = new Map();
  for (const { labels, value } of now.of("engine_rows")) {
    const key = `${labels.model} ${labels.solver}`;
    const lane = found.get(key) ?? { model: labels.model, solver: labels.solver, active: 0, waiting: 0 };
    lane[labels.state] += value;
    found.set(key, lane);
  }
  const busy = [...found.values()].filter(({ active, waiting }) => active + waiting > 0);
  if (!busy.length) return h("p", { class: "soft" }, "No rows are inside the engine. Draw something, and look again.");
  const rows = busy.map(({ model, solver, active, waiting }) => h("tr", {}, h("td", {}, model), h("td", {}, solver), h("td", { class: "end number" }, whole(active)), h("td", { class: "end number" }, whole(waiting))));
  const head = ["Model", "Solver", "Active", "Waiting"].map((text, place) => h("th", { scope: "col", class: place > 1 ? "end" : null }, text));
  return h("table", {}, h("caption", {}, "Rows by lane"), h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows));
}
