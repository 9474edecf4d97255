// The confusion matrix as a table whose cells are buttons.

import { button, h, name } from "./dom.js";
import { texts } from "./texts.js";

const words = texts.understand;

function cell(count, share, right, said, press) {
  if (!count) return h("td", {}, h("span", { class: "spoken" }, said));
  const made = button(texts.number(count), () => press(made), {
    "aria-label": said,
    "aria-pressed": "false",
    title: said,
  });
  const shade = Math.max(1, Math.min(9, Math.round(share * 9)));
  return h("td", { class: `${right ? "right" : "wrong"} s${shade}` }, made);
}

/** `chosen(true, answer)` is called with two names, or with two nulls when a cell is let go. */
export function confusionMatrix(classes, counts, chosen) {
  let pressed = null;
  const press = (one, truth, answer) => {
    const again = pressed === one;
    pressed?.setAttribute("aria-pressed", "false");
    pressed = again ? null : one;
    pressed?.setAttribute("aria-pressed", "true");
    chosen(again ? null : truth, again ? null : answer);
  };
  const head = h(
    "tr",
    {},
    h("th", { class: "corner" }, h("span", {}, words.answers), h("span", {}, words.truth)),
    classes.map((one) => h("th", { scope: "col" }, name(one))),
  );
  const rows = classes.map((truth, row) => {
    const sum = counts[row].reduce((one, other) => one + other, 0);
    const cells = classes.map((answer, column) => {
      const count = counts[row][column];
      const said = words.cell(count, truth, answer);
      return cell(count, sum ? count / sum : 0, row === column, said, (one) =>
        press(one, truth, answer),
      );
    });
    return h("tr", {}, h("th", { scope: "row" }, name(truth)), cells);
  });
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": words.matrix },
    h("table", { class: "matrix" }, h("caption", {}, words.matrixHow), h("thead", {}, head),
      h("tbody", {}, rows)),
  );
}
