// A curve, drawn as SVG: two axes, a few lines, the last value and the unit of x in words.

import { el, svg } from "./dom.js";

const WIDTH = 320;
const SHAPE = 0.53;
const LEFT = 44;
const BOTTOM = 22;
const TOP = 8;
const MOST_POINTS = 400;

/** A number as people read it. */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const written = size !== 0 && (size < 0.001 || size >= 1e6) ? value.toExponential(1) : String(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
  return written.replaceAll("-", "−");
}

/** Round values between two, a few of them, and no nearer than a distance. */
function ticks(low, high, count, nearest = 0) {
  const raw = Math.max(nearest, (high - low) / count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, index) => (first + index) * step);
}

/** So many points at most; of each stretch the lowest and the highest stay, so that no spike is lost. */
function thinned(points) {
  if (points.length <= MOST_POINTS) return points;
  const width = Math.ceil((2 * points.length) / MOST_POINTS);
  const kept = [];
  for (let start = 0; start < points.length; start += width) {
    const part = points.slice(start, start + width);
    const low = part.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = part.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(low === high ? [low] : [low, high].sort((a, b) => a[0] - b[0])));
  }
  return kept;
}

/**
 * Draw curves into a figure.
 *
 * @param {HTMLElement} figure Is emptied.
 * @param {string} name What is drawn.
 * @param {{name: string, points: number[][]}[]} curves Of (x, y); the first is drawn in the accent's colour. Points that are not finite are left out.
 * @param {{x: string, log?: boolean}} options Name of the x axis, and whether y is logarithmic.
 */
export function draw(figure, name, curves, { x, log = false }) {
  const fits = ([a, b]) => Number.isFinite(a) && Number.isFinite(b) && (!log || b > 0);
  const shown = curves.map((curve) => ({ ...curve, points: curve.points.filter(fits) })).filter((curve) => curve.points.length);
  const last = shown.map((curve) => `${shown.length > 1 ? `${curve.name} ` : ""}${short(curve.points.at(-1)[1])}`);
  const keys = last.map((text, index) => el("small", { class: shown.length < 2 ? null : index ? "key second" : "key", text }));
  figure.replaceChildren(el("figcaption", { text: name }, ...keys));
  if (!shown.length) return;
  const wide = Math.max(WIDTH / 2, Math.round(figure.clientWidth) || WIDTH); // a unit is a pixel, so that labels have one size everywhere
  const tall = Math.round(wide * SHAPE);
  const all = shown.flatMap((curve) => curve.points);
  const [left, right] = extent(all.map((point) => point[0]));
  const scaled = log ? Math.log10 : (value) => value;
  const [low, high] = extent(all.map((point) => scaled(point[1])));
  const across = (value) => LEFT + ((value - left) / (right - left)) * (wide - LEFT - 6);
  const up = (value) => tall - BOTTOM - ((scaled(value) - low) / (high - low)) * (tall - BOTTOM - TOP);
  const marks = log ? powers(low, high) : ticks(low, high, 4);
  const lines = marks.map((value) => [
    svg("line", { class: "grid-line", x1: LEFT, x2: wide, y1: up(value), y2: up(value) }),
    svg("text", { x: LEFT - 6, y: up(value) + 4, "text-anchor": "end" }, short(value)),
  ]);
  const whole = all.every((point) => Number.isInteger(point[0]));
  const feet = ticks(left, right, 4, whole ? 1 : 0).map((value) => svg("text", { x: across(value), y: tall - 6, "text-anchor": "middle" }, short(value)));
  const drawn = shown.map((curve, index) => {
    const points = thinned(curve.points).map(([a, b]) => `${across(a).toFixed(1)},${up(b).toFixed(1)}`).join(" ");
    return svg("polyline", { class: index ? "curve second" : "curve", points });
  });
  const words = `${name} over ${x}: ${shown[0].points.length} points, now ${last.join(", ")}`;
  figure.append(svg("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": words }, ...lines.flat(), ...feet, ...drawn));
  figure.append(el("small", { class: "axis", text: x }));
}

function extent(values) {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const room = low === high ? Math.abs(low) / 2 || 1 : 0;
  return [low - room, high + room];
}

/** One, two and five times powers of ten between two exponents, and powers alone where there are many. */
function powers(low, high) {
  const exponents = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, index) => Math.floor(low) + index);
  const steps = exponents.length > 4 ? [1] : [1, 2, 5];
  const found = exponents.flatMap((exponent) => steps.map((step) => step * 10 ** exponent)).filter((value) => value >= 10 ** low && value <= 10 ** high);
  return found.length > 1 ? found : ticks(10 ** low, 10 ** high, 3);
}
