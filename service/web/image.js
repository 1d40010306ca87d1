// One drawn image, large, with its facts and what can be done with it.

import { facts, h, openDialog } from "./dom.js";
import { digits, whole } from "./numbers.js";

/** Return the address of a PNG that came as base64. */
export const pngUrl = (base64) => `data:image/png;base64,${base64}`;

/** Return a PNG that came as base64 as a file, byte for byte. */
export function pngFile(base64, name) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new File([bytes], name, { type: "image/png" });
}

/** Return the width, in CSS pixels, of a small image at a whole factor near `wanted`. */
export function crispWidth(width, wanted) {
  return width * Math.max(1, Math.round(wanted / width));
}

/** Show image `index` of an answer; arrow keys go to its neighbours. */
export function openImage(answer, index, session) {
  const body = h("div", { class: "open-image" });
  const dialog = openDialog("Drawn image", body);
  const show = (place) => {
    index = (place + answer.images.length) % answer.images.length;
    body.replaceChildren(...content(answer, answer.images[index], session, dialog));
  };
  dialog.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowRight") show(index + 1);
    if (key === "ArrowLeft") show(index - 1);
  });
  show(index);
}

function content(answer, image, session, dialog) {
  const name = `${answer.model}-${answer.seed}-${image.index}.png`;
  const file = pngFile(image.png, name);
  const hand = (panel) => () => {
    dialog.close();
    session.hand(panel, [{ name, file }], answer.model);
  };
  const known = facts([
    ["Index", `${image.index + 1} of ${answer.images.length}`],
    ["Seed", String(answer.seed)],
    ["Evaluations", whole(image.nfe)],
    ["Accepted", image.acceptance_rate === null ? null : `${digits(100 * image.acceptance_rate)} % of proposals`],
    ["Latent", image.latent.length ? image.latent.join(", ") : null],
    ["Class", image.class_label === undefined ? null : String(image.class_label)],
    ["Solver", answer.solver.name],
    ["Checkpoint", `${answer.model}, ${answer.checkpoint.slice(0, 12)}`],
    ["Computed on", answer.execution],
  ]);
  const inside = image.latent.length ? h("button", { type: "button", onclick: hand("inside") }, "Look inside") : null;
  const judge = session.model(answer.model).calibration === null ? null : h("button", { type: "button", onclick: hand("judge") }, "Judge this");
  return [
    h("img", { class: "pixels", src: pngUrl(image.png), alt: `Image ${image.index + 1}, drawn by ${answer.model}` }),
    h(
      "div",
      { class: "stack" },
      known,
      h("div", { class: "row" }, h("button", { type: "button", onclick: hand("score") }, "Score this"), judge, inside, h("a", { href: pngUrl(image.png), download: name }, "Save PNG")),
      h("p", { class: "small soft" }, "The arrow keys go to the other images."),
    ),
  ];
}
