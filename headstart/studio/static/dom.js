// Elements from code alone: text always becomes a text node, so names of files and classes can
// never become markup. Nothing in the studio uses innerHTML.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden"]);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name) && name in element) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  add(element, children);
  return element;
}

/** Append text, elements and lists of them; null and false are left out. */
function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** An HTML element. `onclick` and the like are functions. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Put other children in the place of those that an element has. */
export function show(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/** A name of the user's: its direction of writing does not touch the text around it. */
export function name(text, attributes = {}) {
  return h("bdi", attributes, text);
}

export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

/** Change an attribute or text only where it differs, so that nothing is drawn for nothing. */
export function set(element, attribute, value) {
  if (element.getAttribute(attribute) === String(value)) return;
  element.setAttribute(attribute, value);
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A label around a field. */
export function field(text, input, note = null) {
  return h("label", { class: "field" }, h("span", {}, text), input, note && h("small", {}, note));
}

/** A select with [value, text] choices. */
export function choice(choices, onchange, attributes = {}) {
  const options = choices.map(([value, text]) => h("option", { value }, text));
  return h("select", { onchange, ...attributes }, options);
}

/** A bar that is full at 1; `label` is what a screen reader says, null hides it. */
export function bar(share, kind = "", label = null) {
  const inside = h("span", { class: "bar-inside" });
  inside.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  const attributes = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  return h("span", { class: `bar ${kind}`.trim(), ...attributes }, inside);
}
