// The losses and the accuracy, epoch by epoch, as an SVG that is drawn anew with each epoch.

import { h, show, svg } from "./dom.js";
import { texts } from "./texts.js";

const WIDTH = 330;
const HEIGHT = 150;
const EDGE = { left: 38, right: 8, top: 12, bottom: 24 };

function points(values, x, y) {
  return values
    .map((value, place) => (Number.isFinite(value) ? `${x(place)},${y(value)}` : null))
    .filter(Boolean)
    .join(" ");
}

function line(kind, values, x, y) {
  const known = values.filter(Number.isFinite);
  if (!known.length) return [];
  const drawn = points(values, x, y);
  if (known.length > 1) return svg("polyline", { class: `line ${kind}`, points: drawn });
  const [left, top] = drawn.split(",");
  return svg("circle", { class: `dot ${kind}`, cx: left, cy: top, r: 3.5 });
}

function ticks(low, high) {
  return [0, 0.5, 1].map((part) => low + part * (high - low));
}

function chart(title, series, percent) {
  const all = series.flatMap(({ values }) => values).filter(Number.isFinite);
  if (!all.length) return null;
  const length = Math.max(...series.map(({ values }) => values.length));
  const low = percent ? Math.max(0, Math.min(...all) - 0.05) : 0;
  const high = percent ? 1 : Math.max(...all) * 1.05 || 1;
  const wide = WIDTH - EDGE.left - EDGE.right;
  const tall = HEIGHT - EDGE.top - EDGE.bottom;
  const x = (place) => EDGE.left + (length > 1 ? (place / (length - 1)) * wide : wide / 2);
  const y = (value) => EDGE.top + (1 - (value - low) / (high - low || 1)) * tall;
  const grid = ticks(low, high).map((value) => [
    svg("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(value), y2: y(value) }),
    svg(
      "text",
      { x: EDGE.left - 6, y: y(value) + 4, class: "end" },
      percent ? texts.percent(value) : value.toFixed(2),
    ),
  ]);
  const last = series.map(({ title: one, values }) => {
    const value = values.findLast(Number.isFinite);
    return value === undefined ? "" : `${one} ${percent ? texts.percent(value) : value.toFixed(3)}`;
  });
  return h(
    "figure",
    { class: "curve" },
    h("figcaption", {}, title, legend(series)),
    svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: "img",
        "aria-label": texts.train.curveSaid(title, length, last.filter(Boolean).join(", ")),
      },
      grid,
      series.map(({ kind, values }) => line(kind, values, x, y)),
      svg("text", { x: WIDTH - EDGE.right, y: HEIGHT - 6, class: "end" }, texts.train.epochs(length)),
    ),
  );
}

function legend(series) {
  if (series.length < 2) return null;
  const keys = series.map(({ kind, title }) => [h("span", { class: `key ${kind}` }), title]);
  return h("span", { class: "legend" }, keys.map((one) => h("span", {}, one)));
}

/** Draw a job's curve into an element; empty where nothing was learned by epochs. */
export function drawCurve(element, curve) {
  const words = texts.train;
  // Where several depths are tried, or it begins anew, the newest attempt is shown.
  const attempt = curve.at(-1)?.attempt ?? 1;
  const newest = curve.filter((one) => (one.attempt ?? 1) === attempt);
  const of = (key) => newest.map((one) => one[key]);
  const which = attempt > 1 ? words.attempt(attempt) : "";
  show(
    element,
    chart(words.accuracy + which, [
      { kind: "first", title: words.accuracy, values: of("validation_accuracy") },
    ], true),
    chart(words.loss + which, [
      { kind: "first", title: words.validationLoss, values: of("validation_loss") },
      { kind: "second", title: words.trainLoss, values: of("train_loss") },
    ], false),
  );
}
