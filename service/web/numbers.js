// Numbers as people read them.

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Return a number with so many significant digits. */
export function digits(value, count = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (Math.abs(value) >= 10 ** count) return plain.format(value);
  if (Math.abs(value) < 1e-4) return value.toExponential(count - 1);
  return String(Number(value.toPrecision(count)));
}

/** Return a whole number with separators. */
export const whole = (value) => plain.format(value);

/** Return seconds as ms, s or min. */
export function seconds(value) {
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 120 ? `${digits(value)} s` : `${Math.round(value / 60)} min`;
}

/** Return a count with its noun. */
export const counted = (count, noun) => `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;

/** Return a number with a sign that is as wide as a digit. */
export function signed(value, count = 2) {
  if (Math.abs(value) < 1e-4) return "0";
  return `${value < 0 ? "−" : "+"}${digits(Math.abs(value), count)}`;
}
