// The page: its panels, which one is shown, and what they share.

import { getJson, hasKey, onKeyWanted, patiently, setKey } from "./api.js";
import { field, h, openDialog } from "./dom.js";
import { Notice } from "./notices.js";
import { counted } from "./numbers.js";
import * as draw from "./panels/draw.js";
import * as inside from "./panels/inside.js";
import * as judge from "./panels/judge.js";
import * as live from "./panels/live.js";
import * as race from "./panels/race.js";
import * as score from "./panels/score.js";

const PANELS = [draw, race, judge, score, inside, live];
const main = document.getElementById("main");
const state = document.getElementById("state");
const built = new Map();

/** What panels share: the models, the OpenAPI document, and the way to another panel. */
const session = {
  models: [],
  document: null,
  async openapi() {
    this.document ??= getJson("/openapi.json").catch((problem) => {
      this.document = null;
      throw problem;
    });
    return this.document;
  },
  model(name) {
    return this.models.find((one) => one.name === name) ?? this.models[0];
  },
  /** Show another panel, with pictures for it: `[{name, file}]`. */
  hand(id, pictures, model) {
    location.hash = id;
    show();
    built.get(id).take(pictures, model);
  },
};

function setState(name, text) {
  state.dataset.state = name;
  state.textContent = text;
}

function showTabs(current) {
  const links = PANELS.map(({ id, title }) => h("li", {}, h("a", { href: `#${id}`, "aria-current": id === current ? "page" : null }, title)));
  document.getElementById("tabs").replaceChildren(...links);
}

function show() {
  const [id, query = ""] = location.hash.slice(1).split("?");
  const panel = PANELS.find((one) => one.id === id) ?? PANELS[0];
  if (!built.has(panel.id)) built.set(panel.id, panel.build(session));
  const found = built.get(panel.id);
  showTabs(panel.id);
  document.title = `${panel.title} – MULAN playground`;
  if (main.firstChild !== found.element) {
    for (const one of built.values()) if (one.element === main.firstChild) one.leave?.();
    main.replaceChildren(found.element);
    found.enter?.();
  }
  if (query) found.open?.(new URLSearchParams(query));
}

/** Ask for a key; it stays in this page's memory. Resolves to false where none is given. */
function askForKey(wasWrong) {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false" });
    const hint = "It stays in this page's memory until you close it, and is sent to this service alone.";
    const form = h(
      "form",
      { class: "stack", method: "dialog" },
      wasWrong ? h("p", { class: "notice", role: "alert" }, "The service does not know this key.") : null,
      field("API key", input, hint),
      h("button", { class: "main" }, "Use this key"),
    );
    let given = false;
    form.addEventListener("submit", () => {
      given = true;
      setKey(input.value);
    });
    const dialog = openDialog("This service asks for a key", form, { narrow: true });
    dialog.addEventListener("close", () => resolve(given));
  });
}

let asking = null;

/** Ask once, however many requests want a key at the same time. */
function askOnce(wasWrong) {
  asking ??= askForKey(wasWrong).finally(() => {
    asking = null;
  });
  return asking;
}

async function start() {
  onKeyWanted(askOnce);
  document.getElementById("key").addEventListener("click", () => askOnce(false));
  showTabs(null);
  const notice = new Notice();
  main.replaceChildren(h("div", { class: "panel" }, notice.element));
  setState("", "Loading models");
  try {
    const found = await patiently(() => getJson("/v1/models"), notice.wait);
    session.models = found.models;
  } catch (problem) {
    setState("away", hasKey() ? "Refused" : "No models");
    notice.show(problem);
    return;
  }
  setState("ready", counted(session.models.length, "model"));
  addEventListener("hashchange", show);
  show();
}

start();
