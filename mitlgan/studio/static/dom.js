// Elements, and the few words that several tabs share.

const SVG = "http://www.w3.org/2000/svg";
const TITLES = { fg: "Foreground", bg: "Background", scene: "Scene", place: "Place", output: "Final", fused: "Fused", matte: "Matte" };

export const byId = (id) => document.getElementById(id);

/** What people call a layer, latent or stage. */
export const title = (name) => TITLES[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

/** An element; attributes that are null or false are left out, `text` is its text, `on*` are listeners. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const icon = (name) => svg("svg", { "aria-hidden": "true" }, svg("use", { href: `static/icons.svg#${name}` }));

/** A number with so many decimals, and a true minus. */
export const fixed = (value, decimals) => Number(value).toFixed(decimals).replace("-", "−");

/** Show a slider's value; its track is coloured from 0, where it has one, else from its beginning. */
export function showSlider(input, text = input.value) {
  const share = (value) => (100 * (value - input.min)) / (input.max - input.min || 1);
  const [from, to] = [share(Math.max(0, input.min)), share(input.value)].sort((a, b) => a - b);
  input.style.setProperty("--from", `${from}%`);
  input.style.setProperty("--to", `${to}%`);
  const output = input.parentElement.querySelector("output");
  if (output) output.textContent = text;
  input.setAttribute("aria-valuetext", text);
}

/** A labelled slider as the page's own are. */
export function slider({ label, min, max, step, value, name, oninput, onchange }) {
  const input = el("input", { type: "range", min, max, step, "data-test": name, oninput, onchange });
  input.value = value;
  return el("label", { class: "slider" }, el("span", { text: label }), input, el("output", { "aria-hidden": "true" }));
}

/**
 * Arrow keys, Home and End among the options of a listbox, of which one can be reached by Tab.
 *
 * @param {HTMLElement} box The listbox.
 * @param {(option: HTMLElement, byArrow: boolean) => void} choose Called when an option is reached by key, or clicked.
 * @param {() => number} columns How many stand in a row.
 */
export function listbox(box, choose, columns = () => 1) {
  box.addEventListener("keydown", (event) => {
    const options = [...box.querySelectorAll('[role="option"]')];
    const at = options.indexOf(event.target);
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns() };
    let next = at;
    if (event.key in steps) next = at + steps[event.key];
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = options.length - 1;
    else if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (at < 0 || !options[next]) return;
    options[next].focus();
    choose(options[next], next !== at);
  });
  box.addEventListener("click", (event) => {
    const option = event.target.closest('[role="option"]');
    if (option) choose(option, false);
  });
}

/** Mark one option of a listbox as chosen, and the one that Tab reaches; none: the first is reached. */
export function mark(box, chosen) {
  const options = [...box.querySelectorAll('[role="option"]')];
  options.forEach((option, index) => {
    option.setAttribute("aria-selected", String(option === chosen));
    option.tabIndex = option === chosen || (!options.includes(chosen) && index === 0) ? 0 : -1;
  });
}

/** Whether keys now go into something that wants them itself. */
export const typing = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [contenteditable]") !== null;

/** Hand a file to the person. */
export function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
