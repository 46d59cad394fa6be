// The form that starts a training, and the training that the studio has started last.

import * as api from "./api.js";
import { app, changed } from "./app.js";
import { byId, el, icon, title } from "./dom.js";
import { told } from "./notice.js";

const STEPS = [
  { role: "fg", label: "Foreground", hint: "Step 1 of 3: a generator of objects, cut out." },
  { role: "bg", label: "Background", hint: "Step 2 of 3: a generator of places without an object." },
  { role: "compose", label: "Composition", hint: "Step 3 of 3: joins both, which stay as they are, into scenes." },
  { role: "scene", label: "Whole scenes", hint: "A single generator without layers, to compare with." },
];
const STATES = { starting: "Starting", running: "Training", stopping: "Saving", done: "Done", stopped: "Stopped", failed: "Failed" };
let offer = null;
let running = false;
let before = "";

const role = () => byId("training-role").querySelector("input:checked")?.value ?? "fg";
const roleOf = (recipe) => (recipe.command === "compose" ? "compose" : recipe.role);
const recipe = () => offer.recipes.find((each) => each.name === byId("training-recipe").value);
const own = (name) => app.artifacts.some((artifact) => artifact.own && (name === "compose" ? artifact.kind === "composer" : artifact.kind === "generator" && artifact.role === name));

function options(select, rows, kept = select.value) {
  select.replaceChildren(...rows.map(([value, text]) => el("option", { value, text })));
  if (rows.some(([value]) => value === kept)) select.value = kept;
}

/** Show what can be trained; the first step that is still to be done is chosen. */
function build() {
  byId("training").hidden = !offer.sets.length;
  byId("no-training").hidden = offer.sets.length > 0;
  if (!offer.sets.length) return;
  const next = STEPS.find((step) => !own(step.role))?.role ?? "compose";
  byId("training-role").replaceChildren(byId("training-role").querySelector("legend"), ...STEPS.map((step) =>
    el("label", { title: step.hint }, el("input", { type: "radio", name: "training-role", value: step.role, checked: step.role === next, "data-test": `training-role-${step.role}` }),
      el("span", {}, step.label))));
  suit();
}

/** Fit the choices to what is trained. */
function suit() {
  const chosen = role();
  const step = STEPS.find((each) => each.role === chosen);
  byId("training-hint").textContent = step.hint + (own(chosen) ? " You have one already." : "");
  const needed = chosen === "compose" ? "scene" : chosen;
  options(byId("training-set"), offer.sets.filter((set) => set.roles.includes(needed)).map((set) => [set.id, set.name]));
  options(byId("training-recipe"), offer.recipes.filter((each) => roleOf(each) === chosen).map((each) => [each.name, `${each.name} (${each.size_px} px)`]));
  suitRecipe();
}

function suitRecipe() {
  const chosen = recipe();
  if (!chosen) return;
  const composes = chosen.command === "compose";
  for (const layer of ["fg", "bg"]) {
    byId(`training-${layer}-row`).hidden = !composes;
    const fits = (artifact) => artifact.kind === "generator" && artifact.role === layer && artifact.size_px <= chosen.size_px && (layer !== "fg" || !chosen.layered || artifact.channels === 4);
    const own = composes ? app.artifacts.filter(fits).map(label) : [];
    options(byId(`training-${layer}`), own.length ? own : [["", "The newest one"]]);
  }
  const parents = app.artifacts.filter((artifact) => artifact.kind === "generator" && artifact.role === chosen.role && artifact.size_px === chosen.start_px);
  byId("training-from-row").hidden = composes;
  options(byId("training-from"), [...(chosen.needs_start ? [] : [["", "New weights"]]), ...parents.map(label)]);
  byId("training-kimg").value = chosen.kimg;
  byId("training-start").disabled = running || !byId("training-set").value || (chosen.needs_start && !parents.length);
}

const label = (artifact) => [artifact.id, `${artifact.own ? "" : "Shipped: "}${artifact.name} (${artifact.size_px} px)`];

async function start(event) {
  event.preventDefault();
  const chosen = recipe();
  const wish = { set: byId("training-set").value, recipe: chosen.name, kimg: byId("training-kimg").valueAsNumber };
  if (chosen.command === "compose") wish.layers = Object.fromEntries(["bg", "fg"].map((layer) => [layer, byId(`training-${layer}`).value]).filter(([, artifact]) => artifact));
  else if (byId("training-from").value) wish.start = byId("training-from").value;
  byId("training-start").disabled = true;
  await act(() => api.startTraining(wish));
}

/** Ask the server to start, stop or resume, and show what it says. */
export async function act(ask) {
  try {
    show(await ask());
    changed("training");
  } catch (error) {
    told(error);
    if (offer?.sets.length) suitRecipe();
  }
}

/** Show the training that was started last. */
function show(current) {
  const box = byId("current");
  const text = JSON.stringify(current);
  if (text === before) return;
  before = text;
  running = Boolean(current) && ["starting", "running", "stopping"].includes(current.state);
  byId("training-start").disabled = running;
  byId("training").classList.toggle("waiting", running);
  box.hidden = !current || current.state === "done";
  if (box.hidden) return;
  const stoppable = running && current.state !== "stopping";
  box.className = `current ${current.state}`;
  box.replaceChildren(...[el("div", { class: "bar" }, el("b", { text: `${STATES[current.state]}: ${current.label}` }),
    stoppable ? el("button", { type: "button", "data-test": "training-stop", onclick: () => act(() => api.stopTraining(current.number)) }, icon("pause"), "Stop") : null),
    current.message ? el("p", { class: "hint", "data-test": "training-message", text: current.message }) : null].filter(Boolean));
}

/** Read what can be trained and what is being trained; gives the latter. */
export async function refresh() {
  const answer = await api.training();
  const known = offer !== null;
  offer = answer;
  if (!known) build();
  show(answer.current);
  return answer.current;
}

/** Artifacts have come: choose the next step. */
export function rebuild() {
  if (offer) build();
}

byId("training").addEventListener("submit", start);
byId("training-role").addEventListener("change", suit);
byId("training-recipe").addEventListener("change", suitRecipe);
