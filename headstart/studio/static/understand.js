// Understand: how good it is in plain words, what it takes for what, and what to add next.

import { get, places } from "./api.js";
import { h, name, show, svg } from "./dom.js";
import { confusionMatrix } from "./matrix.js";
import { FEW, state } from "./state.js";
import { texts } from "./texts.js";
import { noModel, versionPicker, withModel } from "./versions.js";

const words = texts.understand;

/** Fill the view into its section. */
export function understandView(section) {
  const body = h("div", { class: "understand" });
  const picker = versionPicker();
  section.append(h("div", { class: "column wide" }, picker, body));
  let wanted = null; // the version that is shown, or will be
  let stale = false;

  async function draw(model) {
    wanted = model;
    stale = section.hidden;
    if (!model) return show(body, noModel(words.nothing));
    if (stale) return undefined;
    if (!body.childElementCount) show(body, h("p", { class: "soft" }, texts.loading));
    try {
      const report = await get(places.model(model.id, "report"));
      if (wanted === model) show(body, parts(model, report));
    } catch (error) {
      if (wanted === model) show(body, h("p", { class: "error", role: "alert" }, error.message));
    }
    return undefined;
  }

  withModel(draw);
  return {
    enter: () => {
      if (stale) draw(wanted);
    },
  };
}

function parts(model, report) {
  return [
    verdict(model),
    warnings(report.warnings),
    matrixPart(model, report),
    worstPart(model, report.worst ?? []),
    nextPart(report),
    report.page ? fullReport(model) : null,
  ];
}

function warnings(said) {
  if (!said?.length) return null;
  return h("ul", { class: "warnings" }, said.map((one) => h("li", {}, one)));
}

function fullReport(model) {
  const href = places.model(model.id, "report.html");
  return h("p", {}, h("a", { class: "as-button", href, target: "_blank" }, words.fullReport));
}

function verdict(model) {
  if (!Number.isFinite(model.accuracy)) return h("p", { class: "verdict" }, model.words);
  const facts = [
    words.trainedOn(model.images, model.classes.length),
    [model.backbone, model.image_size && texts.square(model.image_size)].filter(Boolean).join(", "),
    texts.seconds(model.seconds),
  ];
  return h(
    "div",
    {},
    h("h2", { class: "verdict" }, model.words),
    h(
      "div",
      { class: "accuracy" },
      h("p", { class: "figure" }, texts.percent(model.accuracy)),
      h("div", {}, interval(model), h("p", { class: "soft" }, words.interval(model.low, model.high))),
    ),
    h("p", { class: "soft" }, facts.filter(Boolean).join(" · ")),
  );
}

function interval({ accuracy, low, high }) {
  const x = (value) => 6 + value * 228;
  return svg(
    "svg",
    { class: "interval", viewBox: "0 0 240 28", "aria-hidden": "true" },
    svg("line", { class: "rail", x1: x(0), x2: x(1), y1: 10, y2: 10 }),
    svg("line", { class: "range", x1: x(low), x2: x(high), y1: 10, y2: 10 }),
    svg("circle", { class: "dot first", cx: x(accuracy), cy: 10, r: 5 }),
    svg("text", { x: x(0), y: 26 }, "0%"),
    svg("text", { x: x(1), y: 26, class: "end" }, "100%"),
  );
}

function matrixPart(model, report) {
  if (!report.confusion) return null;
  const { classes, rows: counts } = report.confusion;
  const heading = h("p", { class: "soft", role: "status" }, words.pressCell);
  const images = h("ul", { class: "cards small" });
  let last = 0;
  const chosen = async (truth, answer) => {
    last += 1;
    const mine = last;
    if (truth === null) {
      show(images);
      show(heading, words.pressCell);
      return;
    }
    try {
      const query = { true: truth, answer };
      const found = await get(places.model(model.id, "images"), query);
      if (mine !== last) return;
      show(heading, words.cell(found.length, truth, answer));
      show(images, found.map((one) => imageCard(model, one, truth, answer)));
    } catch (error) {
      show(heading, error.message);
    }
  };
  return h(
    "section",
    { "aria-label": words.matrix },
    h("h3", {}, words.matrix),
    h("div", { class: "matrix-and-images" },
      confusionMatrix(classes, counts, chosen),
      h("div", { class: "cell-images" }, heading, images)),
  );
}

function picture(source, alt) {
  return h("img", { src: source, alt, loading: "lazy", width: 160, height: 160 });
}

function imageCard(model, image, truth, answer) {
  const said = words.taken(truth, answer, image.probability);
  const seen = image.id
    ? picture(places.thumbnail(image.id), said)
    : h("span", { class: "gone" }, words.gone);
  return h("li", {}, seen, h("p", { class: "file" }, name(image.name),
    h("span", {}, texts.percent(image.probability))));
}

function worstPart(model, worst) {
  if (!worst.length) return h("section", {}, h("h3", {}, words.worst), h("p", {}, words.noneWrong));
  const cards = worst.map((one) => {
    const said = words.taken(one.true, one.answer, one.probability);
    const views = [one.id ? places.thumbnail(one.id) : one.image];
    views.push(one.map ?? (one.id ? places.map(model.id, one.id) : null));
    const shown = views.filter(Boolean);
    const alts = [said, words.mapAlt];
    return h(
      "li",
      {},
      h("div", { class: "views" }, shown.length
        ? shown.map((source, place) => picture(source, alts[place]))
        : h("span", { class: "gone" }, words.gone)),
      h("p", {}, words.isTaken[0], name(one.true), words.isTaken[1], name(one.answer),
        words.isTaken[2], texts.percent(one.probability)),
    );
  });
  return h(
    "section",
    { "aria-label": words.worst },
    h("h3", {}, words.worst),
    h("p", { class: "soft" }, words.worstHow),
    h("ul", { class: "cards" }, cards),
  );
}

function nextPart(report) {
  const curve = report.trust.learning_curve ?? {};
  const few = (state.project?.classes ?? []).filter((one) => one.images < FEW).map((one) => one.name);
  const advice = (curve.classes ?? []).filter((one) => one.advice);
  const said = curve.verdict;
  const rows = advice.map((one) =>
    h("tr", {}, h("th", { scope: "row" }, name(one.name)),
      h("td", { class: "number" }, texts.percent(one.recall)), h("td", {}, one.advice)),
  );
  if (!said && !rows.length && !few.length) return null;
  return h(
    "section",
    { "aria-label": words.next },
    h("h3", {}, words.next),
    said ? h("p", {}, said) : null,
    few.length ? h("p", {}, words.few(FEW), few.map((one, place) => [place ? ", " : "", name(one)])) : null,
    rows.length
      ? h("table", {},
          h("thead", {}, h("tr", {}, words.adviceColumns.map((one) => h("th", { scope: "col" }, one)))),
          h("tbody", {}, rows))
      : null,
  );
}
