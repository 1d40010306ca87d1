// The same drawing elsewhere: as a command, as a program, and as a link to this page.

import { hasKey } from "./api.js";
import { h, openDialog } from "./dom.js";

/** Return what a drawing was asked for, with its seed and solver as the service resolved them. */
export function resolved(request, answer) {
  const { model, count, latent, class_label: labels } = request;
  const told = { ...(latent && latent !== "prior" ? { latent } : {}), ...(labels === undefined ? {} : { class_label: labels }) };
  return { model, count, seed: answer.seed, solver: answer.solver, ...told };
}

/** Return a curl command that writes all images as one PNG. */
export function asCurl(request, origin = location.origin) {
  const json = JSON.stringify(request).replaceAll("'", "'\\''");
  const key = hasKey() ? "  -H \"Authorization: Bearer $MULAN_API_KEY\" \\\n" : "";
  return `curl -s ${origin}/v1/samples \\\n${key}  -H 'Content-Type: application/json' -H 'Accept: image/png' \\\n  -d '${json}' -o images.png`;
}

/** Return a Python program that writes each image as a PNG; it needs nothing but Python. */
export function asPython(request, origin = location.origin) {
  const key = hasKey();
  const headers = `{"Content-Type": "application/json"${key ? ', "Authorization": f"Bearer {os.environ[\'MULAN_API_KEY\']}"' : ""}}`;
  return [
    `import base64, json, ${key ? "os, " : ""}pathlib, urllib.request`,
    "",
    `request = ${JSON.stringify(request)}`,
    `headers = ${headers}`,
    `post = urllib.request.Request("${origin}/v1/samples", json.dumps(request).encode(), headers)`,
    "for image in json.load(urllib.request.urlopen(post))[\"images\"]:",
    "    pathlib.Path(f\"{image['index']}.png\").write_bytes(base64.b64decode(image[\"png\"]))",
    "",
  ].join("\n");
}

/** Return a link that draws the same images on this page. */
export function asLink(request, origin = location.origin) {
  const { solver, latent, ...plain } = request;
  const query = new URLSearchParams({ ...plain, solver: JSON.stringify(solver) });
  if (latent) query.set("latent", latent.join(","));
  return `${origin}/#draw?${query}`;
}

/** Return the request that a link describes. */
export function fromLink(query) {
  const request = { model: query.get("model"), count: Number(query.get("count")), seed: Number(query.get("seed")) };
  if (query.has("solver")) request.solver = JSON.parse(query.get("solver"));
  if (query.has("latent")) request.latent = query.get("latent").split(",").map(Number);
  if (query.has("class_label")) {
    const labels = query.get("class_label").split(",").map(Number);
    request.class_label = labels.length === 1 ? labels[0] : labels;
  }
  return request;
}

/** Show all three, each with a button that copies it. */
export function showRecipes(request) {
  const forms = [
    ["In a shell", asCurl(request)],
    ["In Python", asPython(request)],
    ["As a link", asLink(request)],
  ];
  const sections = forms.map(([title, text]) => {
    const code = h("pre", { tabindex: 0, "aria-label": title }, text);
    const copy = h("button", { type: "button", onclick: () => copyText(text, code, copy) }, "Copy");
    return h("section", { class: "stack" }, h("div", { class: "row apart" }, h("h3", {}, title), copy), code);
  });
  const lead = h("p", { class: "soft" }, "Checkpoint, solver, seed and index determine every byte of an image, on one kind of device.");
  openDialog("Use it elsewhere", h("div", { class: "stack" }, lead, sections));
}

async function copyText(text, code, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Without HTTPS there is no clipboard: the text is selected, and a person copies it.
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
}
