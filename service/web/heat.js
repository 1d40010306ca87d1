// A heatmap over its picture, with the regions in boxes.

import { h, s } from "./dom.js";
import { pngUrl } from "./image.js";
import { counted } from "./numbers.js";

// From yellow to red, as the service's own overlays.
const COLD = [255, 225, 60];
const HOT = [215, 25, 25];

/** Return the picture at `address` under the heat of a verdict, and a slider of the heat's opacity. */
export function heatOver(address, verdict, name) {
  const picture = h("img", { class: "pixels", src: address, alt: name });
  const place = h("div", { class: "overlay" }, picture);
  const parts = [place];
  if (verdict.heatmap) {
    const canvas = h("canvas", { class: "pixels", role: "img", "aria-label": "Heatmap: yellow is a little strange, red very" });
    const slider = h("input", { type: "range", min: 0, max: 100, value: 70, "aria-label": "Opacity of the heat" });
    const set = () => canvas.style.setProperty("opacity", slider.value / 100);
    slider.addEventListener("input", set);
    set();
    place.append(canvas);
    paint(canvas, pngUrl(verdict.heatmap));
    parts.push(h("label", { class: "row small soft" }, "Heat", slider));
  }
  if (verdict.regions?.length) picture.addEventListener("load", () => place.append(boxes(picture, verdict)));
  return h("div", { class: "stack" }, parts);
}

async function paint(canvas, address) {
  const grey = new Image();
  grey.src = address;
  await grey.decode();
  canvas.width = grey.naturalWidth;
  canvas.height = grey.naturalHeight;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.drawImage(grey, 0, 0);
  const pixels = brush.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const heat = pixels.data[at] / 255;
    for (let channel = 0; channel < 3; channel += 1) pixels.data[at + channel] = COLD[channel] + heat * (HOT[channel] - COLD[channel]);
    pixels.data[at + 3] = 255 * Math.min(1, 1.4 * heat);
  }
  brush.putImageData(pixels, 0, 0);
}

function boxes(picture, { regions, picture: size }) {
  const width = size?.width ?? picture.naturalWidth;
  const height = size?.height ?? picture.naturalHeight;
  const drawn = regions.map((one) => s("rect", { x: one.x, y: one.y, width: one.width, height: one.height }, s("title", {}, `p = ${one.p_value.toFixed(3)}`)));
  return s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": counted(regions.length, "strange region") }, drawn);
}
