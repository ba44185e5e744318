// Small helpers to make elements. Texts become text nodes, never HTML: a document may hold any characters.

/** Returns the first element that a selector finds. */
export const $ = (selector, root = document) => root.querySelector(selector);

/**
 * Makes an element. Attributes named `on...` are listeners; `vars` are custom properties, set through the CSSOM because
 * the content security policy allows no style attribute.
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "vars") setVars(element, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  fill(element, ...children);
  return element;
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  const given = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  element.replaceChildren(...given.map((child) => (child instanceof Node ? child : String(child))));
}

export function setVars(element, vars) {
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(`--${name}`, value);
}

/** Shows or hides an element. */
export function show(element, isShown) {
  element.hidden = !isShown;
}

/** Whether a pointer moved: browsers also send its events when the page scrolls below a pointer at rest. */
export const hasMoved = (event) => event.movementX !== 0 || event.movementY !== 0;

let lastId = 0;

/** Returns an id for `aria-controls` and the like. */
export const newId = (prefix) => `${prefix}-${(lastId += 1)}`;

/** Makes a button that does not submit a form. */
export function button(label, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, label);
}

const DIRECTIONS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\u200b]/g;

/** Makes control characters of a text visible, one character for each, so that offsets stay. */
export function withoutControls(text) {
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, (c) =>
    c === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + c.charCodeAt(0)),
  );
}

/** Makes every invisible character of a name visible: two ids that look the same are the same. */
export function visibleName(name) {
  const hex = (c) => `\u2039U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}\u203a`;
  const lines = String(name).replace(/[\t\n\r]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)));
  return withoutControls(lines).replace(DIRECTIONS, hex);
}

/** Makes a dialog answer: resolves to whether it was confirmed. Its form has `method="dialog"`. */
export function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok"), { once: true });
  });
}
