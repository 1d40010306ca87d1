// Learned noise schedules: gamma in every pixel at any time, from the coefficients that the service sends.

/** Return one schedule of an answer of /v1/schedules with its coefficients as numbers. */
export function read(one, answer) {
  const bytes = Uint8Array.from(atob(one.coefficients), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const all = Float64Array.from({ length: bytes.length / 4 }, (_, place) => view.getFloat32(4 * place, true));
  const size = all.length / 3;
  const [a, b, c] = [0, 1, 2].map((part) => all.subarray(part * size, (part + 1) * size));
  return { ...one, a, b, c, times: answer.times, shape: answer.image_shape, low: answer.gamma_min, high: answer.gamma_max };
}

/** Return the straight line of a schedule that is not learned, at time `t`. */
export const line = ({ low, high }, t) => low + (high - low) * t;

/** Return gamma less that line, in every pixel and channel, row by row. */
export function departures({ a, b, c, low, high }, t) {
  const found = new Float64Array(a.length);
  for (let at = 0; at < a.length; at += 1) {
    const [p, q, r] = [a[at], b[at], c[at]];
    const quartic = ((((p * p) / 5) * t + (p * q) / 2) * t + (q * q + 2 * p * r) / 3) * t + q * r;
    found[at] = (quartic * t + r * r - (high - low)) * t;
  }
  return found;
}

/** Return values of pixels, each the mean over its channels. */
export function overChannels(values, [height, width, channels]) {
  const found = new Float64Array(height * width);
  for (let at = 0; at < values.length; at += 1) found[Math.floor(at / channels)] += values[at] / channels;
  return found;
}

/** Return mean, standard deviation and the quantiles that hold nine of ten values. */
export function summary(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const sorted = values.slice().sort();
  const quantile = (share) => {
    const place = share * (sorted.length - 1);
    const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
    return below + (place % 1) * (above - below);
  };
  return { mean, sd: Math.sqrt(square), lower: quantile(0.05), upper: quantile(0.95) };
}

/** Return the mean of several arrays of equal length. */
export function meanOf(arrays) {
  const found = new Float64Array(arrays[0].length);
  for (const values of arrays) for (let at = 0; at < found.length; at += 1) found[at] += values[at] / arrays.length;
  return found;
}

/** Return the standard deviation between arrays in one place, averaged over places. */
export function between(arrays) {
  const mean = meanOf(arrays);
  let sum = 0;
  for (let at = 0; at < mean.length; at += 1) {
    sum += Math.sqrt(arrays.reduce((total, values) => total + (values[at] - mean[at]) ** 2, 0) / arrays.length);
  }
  return sum / mean.length;
}
