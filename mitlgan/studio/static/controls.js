// The controls next to the picture, and what can be downloaded.

import * as api from "./api.js";
import { app, changed } from "./app.js";
import { byId, el, fixed, showSlider, slider, title } from "./dom.js";
import { notice, say, told } from "./notice.js";
import { limited } from "./stage.js";
import { fileAddress } from "./state.js";

const FARTHEST = 4;
const looks = new Map();
let offered = null;
const PLACES = ["scale", "across", "down"];

/**
 * Let the controls edit the open picture.
 *
 * @param {(change: object, settled: boolean) => void} edit Fields of the state that change, and whether the hand has come to rest.
 * @param {() => object | null} stand Where the frontmost layer stands.
 */
export function ready(edit, stand) {
  for (const name of PLACES) {
    const change = (settled) => () => edit({ stand: limited({ ...stand(), [name]: byId(name).valueAsNumber }) }, settled);
    byId(name).addEventListener("input", change(false));
    byId(name).addEventListener("change", change(true));
  }
  byId("flip").addEventListener("click", () => edit({ stand: { ...limited(stand()), flip: !stand().flip } }, true));
  byId("unplace").addEventListener("click", () => edit({ stand: null }, true));
  for (const [id, field] of [["matte-strength", "matte_strength"], ["truncation", "truncation"]]) {
    byId(id).addEventListener("input", () => edit({ [field]: byId(id).valueAsNumber }, false));
    byId(id).addEventListener("change", () => edit({ [field]: byId(id).valueAsNumber }, true));
  }
  byId("harmonise").addEventListener("change", () => edit({ harmonise: byId("harmonise").checked }, true));
  const moves = (event) => event.target.dataset.latent !== undefined;
  byId("directions").addEventListener("input", (event) => { if (moves(event)) edit({ directions: amounts(event.target) }, false); });
  byId("directions").addEventListener("change", (event) => { if (moves(event)) edit({ directions: amounts(event.target) }, true); });
  byId("directions").addEventListener("click", (event) => {
    const name = event.target.dataset.reset;
    if (name) edit({ directions: { ...app.state.directions, [name]: [] } }, true);
  });
  byId("copy-link").addEventListener("click", copyLink);
  for (const id of ["download-size", "download-filter", "metadata"]) byId(id).addEventListener("change", () => { if (offered) offer(offered); });
  byId("open-file").addEventListener("change", () => {
    if (byId("open-file").files.length) openSaved(byId("open-file").files[0]);
    byId("open-file").value = "";
  });
  for (const which of ["a", "b"]) {
    byId(`pick-${which}`).addEventListener("click", () => {
      changed("pick", { which, state: app.state });
      notice(which === "a" ? "The morph begins with this picture." : "The morph ends with this picture.", { bad: false });
    });
  }
}

function amounts(input) {
  const name = input.dataset.latent;
  const all = [...byId("directions").querySelectorAll(`input[data-latent="${CSS.escape(name)}"]`)].map((each) => each.valueAsNumber);
  return { ...app.state.directions, [name]: all };
}

/** Show what the artifact has controls for. */
export function suit(artifact) {
  byId("placing").hidden = !artifact.movable.length;
  byId("matte-row").hidden = !artifact.has_matte;
  byId("harmonise-row").hidden = !artifact.harmonises;
  byId("download-transparent").hidden = !artifact.transparent.length;
  byId("download-zip").hidden = artifact.layers.length < 2;
  byId("download-ora").hidden = artifact.layers.length < 2;
  sizes(artifact.size_px);
  byId("directions").replaceChildren(...Object.entries(artifact.directions ?? {}).map(([name, count]) => group(name, count, artifact)));
}

function group(name, count, artifact) {
  const rows = Array.from({ length: count }, (_, index) => {
    const made = slider({ label: String(index + 1), min: -FARTHEST, max: FARTHEST, step: 0.1, value: 0, name: `direction-${name}-${index}` });
    made.querySelector("input").dataset.latent = name;
    made.querySelector("input").setAttribute("aria-label", `${title(name)}, direction ${index + 1}`);
    const end = (side) => el("img", { class: `crisp ${side}`, alt: "", "data-test": `direction-${name}-${index}-${side}` });
    const naming = el("input", { type: "text", maxlength: 40, placeholder: `Direction ${index + 1}`, "aria-label": `Name of ${title(name).toLowerCase()} direction ${index + 1}`,
      "data-test": `direction-name-${name}-${index}`, onchange: () => rename(artifact, name, index, naming) });
    naming.addEventListener("keydown", (event) => { if (event.key === "Enter") naming.blur(); });
    return el("div", { class: "direction" }, end("low"), el("div", {}, naming, made), end("high"));
  });
  const heading = artifact.layers.length > 1 ? `${title(name)} directions` : "Directions";
  const reset = el("button", { type: "button", "data-reset": name, "data-test": `reset-${name}`, text: "Back to 0" });
  return el("details", { open: true, "data-latent": name }, el("summary", { text: heading }), el("div", {}, ...rows, reset));
}

async function rename(artifact, latent, index, field) {
  try {
    await api.nameDirection(artifact.id, latent, index, field.value);
    if (looks.has(artifact.id)) looks.get(artifact.id)[latent][index].name = field.value.trim();
    say(field.value.trim() ? `Named ${field.value.trim()}` : "The name is removed");
  } catch (error) {
    told(error);
  }
}

/** Show what each direction changes, and the names that they have been given; asked for once per artifact, when the first pictures are there. */
export async function showDirections(artifact) {
  if (!artifact.directions) return;
  try {
    if (!looks.has(artifact.id)) looks.set(artifact.id, await api.directions(artifact.id));
  } catch (error) {
    told(error);
    return;
  }
  if (artifact !== app.artifact) return;
  for (const [latent, rows] of Object.entries(looks.get(artifact.id))) {
    rows.forEach(({ name, low, high }, index) => {
      const part = (test) => byId("directions").querySelector(`[data-test="${CSS.escape(test)}"]`);
      part(`direction-${latent}-${index}-low`).src = low;
      part(`direction-${latent}-${index}-high`).src = high;
      part(`direction-name-${latent}-${index}`).value = name;
    });
  }
}

/** Show the values of the open picture. */
export function show(state, stand) {
  if (stand) {
    for (const name of PLACES) {
      byId(name).value = stand[name];
      showSlider(byId(name), fixed(stand[name], 2));
    }
    byId("flip").setAttribute("aria-pressed", String(stand.flip));
    byId("unplace").disabled = !state.stand;
  }
  byId("matte-strength").value = state.matte_strength ?? 1;
  byId("truncation").value = state.truncation ?? 1;
  for (const id of ["matte-strength", "truncation"]) showSlider(byId(id), `${Math.round(100 * byId(id).value)} %`);
  byId("harmonise").checked = Number(state.harmonise ?? 1) > 0;
  for (const input of byId("directions").querySelectorAll("input[data-latent]")) {
    const index = Number(input.dataset.test.split("-").at(-1));
    input.value = state.directions?.[input.dataset.latent]?.[index] ?? 0;
    showSlider(input, fixed(input.value, 1));
  }
}

/** Downloads of the open picture. */
export function offer(state) {
  offered = state;
  const name = `${app.artifact.name}-${Object.values(state.latents ?? {}).map((given) => given.seed ?? ("mix" in given ? "child" : "edited")).join("-")}`;
  const front = app.artifact.transparent.at(-1);
  const more = byId("metadata").checked ? {} : { metadata: false };
  if (Number(byId("download-size").value) !== app.artifact.size_px) Object.assign(more, { size: byId("download-size").value, filter: byId("download-filter").value });
  byId("download-filter").disabled = !more.size;
  const links = [["download-png", "picture.png", {}, `${name}.png`], ["download-zip", "layers.zip", {}, `${name}.zip`], ["download-ora", "layers.ora", {}, `${name}.ora`]];
  if (front) links.push(["download-transparent", "picture.png", { what: `transparent:${front}` }, `${name}-${front}.png`]);
  for (const [id, file, what, as] of links) {
    byId(id).href = fileAddress(state, file, { ...what, ...more });
    byId(id).download = as;
  }
}

/** Sizes at which files are offered: the artifact's own, and whole multiples of it that people use. */
function sizes(own) {
  const kept = Number(byId("download-size").value);
  const all = [own, ...[128, 256, 512, 1024, 2048].filter((size) => size > own)];
  byId("download-size").replaceChildren(...all.map((size) => el("option", { value: size, text: size === own ? `${size} px, as it is` : `${size} px` })));
  if (all.includes(kept)) byId("download-size").value = kept;
}

/** Open a picture that was saved here or by a command, by what its file says of it. */
export async function openSaved(file) {
  try {
    const { state } = await api.record(file);
    changed("edit", state);
    notice("This is the picture as it was made; edit it as any other.", { bad: false });
  } catch (error) {
    told(error.status === 422 && error.message.includes("does not say") ? new Error("This file does not say how it was made. Embed finds the latents of any picture.") : error);
  }
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    notice("Link copied: it makes this picture again.", { bad: false });
  } catch {
    told(new Error("The browser does not let the page copy; take the address from the address bar, it is this picture’s link."));
  }
}
