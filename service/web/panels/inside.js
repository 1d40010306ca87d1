// Look inside: the noise schedule that the model learned, over time and pixels.

import { getJson, patiently, randomKey } from "../api.js";
import { Asking } from "../batches.js";
import { field, h, select } from "../dom.js";
import { Notice } from "../notices.js";
import { dropPlace, pasted } from "../pictures.js";
import { read } from "../schedules.js";
import { LatentChoice } from "./inside_latent.js";
import { Lanes } from "./inside_lanes.js";

export const id = "inside";
export const title = "Inside";

// Pictures of one drop that are encoded.
const MOST_PICTURES = 64;
const AT_FIRST = 3;

export const build = (session) => new Inside(session);

class Inside {
  constructor(session) {
    this.session = session;
    this.notice = new Notice();
    // A photograph has a schedule for each of its tiles, and is sent alone.
    const results = ({ schedules, ...answer }, part) => {
      const found = schedules.map((one) => read(one, answer));
      return part.length === 1 ? [found] : found.map((one) => [one]);
    };
    this.asking = new Asking("/v1/schedules", this.notice, results);
    this.model = select(session.models.map(({ name }) => [name, name]), session.models[0].name, () => this.begin());
    this.place = h("div");
    this.lanes = new Lanes();
    this.drop = h("div", {}, dropPlace((pictures) => this.take(pictures)));
    const left = h("div", { class: "stack" }, field("Model", this.model), this.place, this.drop, this.asking.cancel);
    const right = h("div", { class: "stack" }, this.notice.element, this.lanes.status, this.lanes.element);
    const intro = h(
      "header",
      {},
      h("h1", {}, "How fast does each pixel turn to noise?"),
      h("p", {}, "Gamma is the logarithm of noise over signal. Other models fix it: a straight line over the time t, the same in every pixel. MULAN learned a schedule for every pixel and each latent, and a picture is encoded as a latent."),
    );
    this.element = h("section", { class: "panel" }, intro, h("div", { class: "sides" }, left, right));
    this.onpaste = (event) => this.take(pasted(event));
  }

  enter() {
    document.addEventListener("paste", this.onpaste);
    if (!this.latent) this.begin();
  }

  leave() {
    document.removeEventListener("paste", this.onpaste);
  }

  get chosen() {
    return this.session.model(this.model.value);
  }

  /** Show a few schedules of another model. */
  async begin() {
    this.asking.stop();
    this.notice.clear();
    const { latent } = this.chosen;
    this.lanes.begin(this.chosen);
    this.latent = new LatentChoice(latent, (ones) => this.ask([ones]));
    this.place.replaceChildren(this.latent.element);
    this.drop.hidden = !latent.n;
    if (latent.n) await this.ask(this.latent.first(AT_FIRST));
    else await this.ask([]);
  }

  /** Show the schedules of latents that were chosen by hand. */
  async ask(latents) {
    const model = this.chosen;
    this.notice.clear();
    const headers = { "Idempotency-Key": randomKey() };
    const json = { model: model.name, latents };
    try {
      const send = () => getJson("/v1/schedules", { method: "POST", headers, json });
      const answer = await patiently(send, this.notice.wait);
      if (model === this.chosen) this.show(answer.schedules.map((one) => ({ schedule: read(one, answer), pictures: [] })));
    } catch (problem) {
      if (model === this.chosen) this.notice.show(problem);
    }
  }

  /** Show the schedules of the latents that pictures are encoded as. */
  async take(pictures, named) {
    if (named && named !== this.model.value) {
      this.model.value = named;
      await this.begin();
    }
    const model = this.chosen;
    if (!pictures.length || !model.latent.n) return;
    const rows = pictures.slice(0, MOST_PICTURES).map(({ name, file }) => ({ name, file, result: null, fault: null }));
    const alone = model.preprocessing !== null;
    const limits = alone ? { ...model.limits, max_images: 1 } : model.limits;
    await this.asking.about(rows, { model: model.name }, limits, () => {});
    if (model !== this.chosen) return;
    const found = rows.flatMap((row) => (row.result ?? []).map((schedule) => ({ schedule, pictures: [row] })));
    this.show(found);
    const told = rows.filter(({ fault }) => fault).map(({ name, fault }) => `${name}: ${fault}`);
    if (pictures.length > rows.length) told.push(`only the first ${MOST_PICTURES} pictures are encoded`);
    if (told.length) this.notice.put("Not encoded", told.join("; "));
  }

  show(found) {
    if (found.length) this.lanes.add(found);
  }
}
