// The grid of sixteen pictures, what is held while the others are rerolled, and the reroll.

import * as api from "./api.js";
import { app, changed } from "./app.js";
import { byId, el, icon, listbox, mark, title, typing } from "./dom.js";
import { say, told } from "./notice.js";
import { FIRST_SEEDS, described, newSeeds, stateOf } from "./state.js";
import { tab } from "./tabs.js";

const COLUMNS = 4;
const held = new Set();
let cells = [];
let asking = null;
let chosen = 0;
let pairing = false;

/** Latents that are rerolled. */
const free = () => Object.keys(app.artifact.latents).filter((name) => !held.has(name));

/** Begin with an artifact: its first pictures, or that of a link before them. */
export function begin(linked) {
  held.clear();
  showHold();
  return fill(linked ? FIRST_SEEDS.map((seed) => seed + 1) : FIRST_SEEDS, stateOf(app.artifact, FIRST_SEEDS[0]), linked);
}

/** Sixteen new ones; held layers stay those of the picture that is open, with what was done to them. */
function reroll() {
  const { front, has_place: places, movable } = app.artifact;
  const kept = held.has(places ? "place" : front) || (held.has(front) && movable.some((name) => !held.has(name))); // the server keeps held objects' places
  const directions = Object.fromEntries(Object.entries(app.state.directions ?? {}).filter(([name]) => held.has(name)));
  const base = { ...app.state, stand: kept ? app.state.stand : null, directions };
  const varied = vary(newSeeds(COLUMNS ** 2));
  return show(async (signal) => api.grid(await whole(base, signal), varied, signal));
}

const vary = (seeds) => Object.fromEntries(free().map((name) => [name, seeds]));
const fill = (seeds, base, first) => show((signal) => api.grid(base, vary(seeds), signal), first);

/** The state with what is held: a link need not name a place, which would then follow the objects that are rerolled. */
async function whole(state, signal) {
  return [...held].every((name) => name in (state.latents ?? {})) ? state : (await api.picture(state, ["output"], signal)).state;
}

/** Sixteen children of the open picture and another one. */
const breed = (other) => show((signal) => api.children([app.state, other], newSeeds(COLUMNS ** 2), signal));

/** Show the pictures that are asked for. */
async function show(ask, first = null) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  pair(false);
  byId("grid").setAttribute("aria-busy", "true");
  try {
    const { pictures } = await ask(signal);
    cells = first ? [{ state: first, output: null }, ...pictures.slice(0, -1)] : pictures;
    showCells();
    choose(0, Boolean(first));
  } catch (error) {
    told(error);
  } finally {
    if (!signal.aborted) byId("grid").removeAttribute("aria-busy");
  }
}

function showCells() {
  byId("grid").replaceChildren(...cells.map((cell, index) =>
    el("div", { role: "option", "aria-label": `Picture ${index + 1}: ${described(cell.state)}`, "data-test": `scene-${index}` },
      el("img", { class: "crisp", alt: "", src: cell.output, draggable: "false" }))));
}

/** Begin or end to choose the other parent. */
function pair(on) {
  pairing = on;
  byId("child").setAttribute("aria-pressed", String(on));
  byId("child-hint").hidden = !on;
  byId("grid").classList.toggle("pairing", on);
  if (on) byId("grid").querySelector('[tabindex="0"]')?.focus();
}

function reach(option, byArrow) {
  const index = [...byId("grid").children].indexOf(option);
  if (!pairing) choose(index);
  else if (!byArrow && index !== chosen) breed(cells[index].state);
}

function choose(index, linked = false) {
  chosen = index;
  mark(byId("grid"), byId("grid").children[index]);
  changed("open", { state: cells[index].state, output: cells[index].output, linked });
}

/** What was done to the open picture shows in its place of the grid. */
export function keep(state, output) {
  const image = byId("grid").children[chosen]?.querySelector("img");
  if (!image) return;
  cells[chosen] = { state, output };
  image.src = output;
}

function showHold() {
  const names = Object.keys(app.artifact.latents);
  const buttons = names.map((name) =>
    el("button", { type: "button", "aria-pressed": "false", "data-name": name, "data-test": `hold-${name}`, onclick: () => toggle(name) }, icon("open"), title(name)));
  byId("hold").replaceChildren(...(names.length > 1 ? [el("span", { text: "Hold" }), ...buttons] : []));
  byId("hold").hidden = names.length < 2;
  byId("reroll").disabled = false;
}

function toggle(name) {
  const holding = !held.has(name);
  const { movable, has_place: places } = app.artifact;
  const last = places && movable.includes(name) && movable.every((each) => each === name || held.has(each));
  const together = last ? [name, "place"] : [name]; // objects keep their places until these are let go
  for (const each of together) held[holding ? "add" : "delete"](each);
  for (const button of byId("hold").querySelectorAll("button")) {
    const now = held.has(button.dataset.name);
    button.setAttribute("aria-pressed", String(now));
    button.querySelector("svg").replaceWith(icon(now ? "lock" : "open"));
  }
  byId("reroll").disabled = free().length === 0;
  say(`${title(name)} ${holding ? "held" : "free"}`);
}

listbox(byId("grid"), reach, () => COLUMNS);
byId("child").addEventListener("click", () => pair(!pairing));
byId("reroll").addEventListener("click", reroll);
document.addEventListener("keydown", (event) => {
  if (tab() !== "generate" || typing(event)) return;
  if (event.key === "Escape" && pairing) pair(false);
  if (event.key.toLowerCase() === "c" && cells.length) pair(!pairing);
  if (event.key.toLowerCase() === "r" && !byId("reroll").disabled) reroll();
});
