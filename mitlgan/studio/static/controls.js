// The controls next to the picture, and what can be downloaded.

import { app, changed } from "./app.js";
import { byId, el, fixed, showSlider, slider, title } from "./dom.js";
import { notice, told } from "./notice.js";
import { limited } from "./stage.js";
import { layersAddress, pictureAddress } from "./state.js";

const FARTHEST = 4;
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
  byId("directions").addEventListener("input", (event) => edit({ directions: amounts(event.target) }, false));
  byId("directions").addEventListener("change", (event) => edit({ directions: amounts(event.target) }, true));
  byId("directions").addEventListener("click", (event) => {
    const name = event.target.dataset.reset;
    if (name) edit({ directions: { ...app.state.directions, [name]: [] } }, true);
  });
  byId("copy-link").addEventListener("click", copyLink);
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
  byId("directions").replaceChildren(...Object.entries(artifact.directions ?? {}).map(([name, count]) => group(name, count, artifact)));
}

function group(name, count, artifact) {
  const sliders = Array.from({ length: count }, (_, index) => {
    const made = slider({ label: String(index + 1), min: -FARTHEST, max: FARTHEST, step: 0.1, value: 0, name: `direction-${name}-${index}` });
    made.querySelector("input").dataset.latent = name;
    made.querySelector("input").setAttribute("aria-label", `${title(name)}, direction ${index + 1}`);
    return made;
  });
  const heading = artifact.layers.length > 1 ? `${title(name)} directions` : "Directions";
  const reset = el("button", { type: "button", "data-reset": name, "data-test": `reset-${name}`, text: "Back to 0" });
  return el("details", { open: true }, el("summary", { text: heading }), el("div", {}, ...sliders, reset));
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
  for (const input of byId("directions").querySelectorAll("input")) {
    const index = Number(input.dataset.test.split("-").at(-1));
    input.value = state.directions?.[input.dataset.latent]?.[index] ?? 0;
    showSlider(input, fixed(input.value, 1));
  }
}

/** Downloads of the open picture. */
export function offer(state) {
  const name = `${app.artifact.name}-${Object.values(state.latents ?? {}).map((given) => given.seed ?? "found").join("-")}`;
  const front = app.artifact.transparent.at(-1);
  const links = [["download-png", pictureAddress(state, "output"), `${name}.png`], ["download-zip", layersAddress(state), `${name}.zip`]];
  if (front) links.push(["download-transparent", pictureAddress(state, `transparent:${front}`), `${name}-${front}.png`]);
  for (const [id, address, file] of links) {
    byId(id).href = address;
    byId(id).download = file;
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
