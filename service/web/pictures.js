// Pictures that a person brings: dropped, pasted, chosen, or a whole folder.

import { h } from "./dom.js";

const TYPES = /\.(png|jpe?g|bmp|tiff?|webp)$/i;

/** Return a place for pictures; `take([{name, file}])` gets them. */
export function dropPlace(take) {
  const many = h("input", { type: "file", multiple: true, accept: "image/*,.png,.jpg,.jpeg,.bmp,.tif,.tiff,.webp", class: "sr-only", tabindex: -1, "aria-hidden": "true" });
  const folder = h("input", { type: "file", webkitdirectory: true, class: "sr-only", tabindex: -1, "aria-hidden": "true" });
  for (const input of [many, folder]) {
    input.addEventListener("change", () => {
      take(named(input.files));
      input.value = "";
    });
  }
  const place = h(
    "div",
    { class: "drop" },
    h("p", {}, "Drop pictures or a folder here, or paste one."),
    h("div", { class: "row" }, h("button", { type: "button", onclick: () => many.click() }, "Choose pictures"), h("button", { type: "button", onclick: () => folder.click() }, "Choose a folder")),
    many,
    folder,
    h("p", { class: "small soft" }, "They are sent to this service and nowhere else."),
  );
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", async (event) => {
    event.preventDefault();
    place.classList.remove("over");
    take(await dropped(event.dataTransfer));
  });
  return place;
}

/** Return the pictures that were pasted. */
export const pasted = (event) => named(event.clipboardData?.files ?? []);

function named(files) {
  return Array.from(files)
    .filter((file) => file.type.startsWith("image/") || TYPES.test(file.name))
    .map((file) => ({ name: file.webkitRelativePath || file.name, file }));
}

async function dropped(transfer) {
  const entries = Array.from(transfer.items ?? [], (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return named(transfer.files);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found.flatMap(({ path, file }) => named([file]).map(() => ({ name: path, file })));
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const one of some) await walk(one, found);
  }
}

/** Yield pictures in parts that one request may hold: few enough, and small enough. A result depends on
 * no neighbour, so the parts change nothing. */
export function* parts(pictures, { most, bytes }) {
  let part = [];
  let size = 0;
  for (const picture of pictures) {
    if (part.length && (part.length === most || size + picture.file.size > bytes)) {
      yield part;
      [part, size] = [[], 0];
    }
    part.push(picture);
    size += picture.file.size;
  }
  if (part.length) yield part;
}

/** Return a form of pictures with the parameters of a request. */
export function formOf(pictures, parameters) {
  const form = new FormData();
  for (const [name, value] of Object.entries(parameters)) form.append(name, String(value));
  // A path in a folder is no name of a file; the service looks at the content alone.
  pictures.forEach(({ file }, index) => form.append("images", file, `${index}${extension(file)}`));
  return form;
}

const extension = ({ name }) => (TYPES.exec(name) ?? [".png"])[0].toLowerCase();
