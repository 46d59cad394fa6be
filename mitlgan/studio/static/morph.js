// Morph: from one picture to another, all layers or one, scrubbed live.

import * as api from "./api.js";
import { app, changed, onChange } from "./app.js";
import { byId, el, icon, save, showSlider, title } from "./dom.js";
import { told } from "./notice.js";
import { described, newSeeds, stateOf } from "./state.js";

const FILM = 9;
const picks = { a: null, b: null };
const boxes = { a: byId("morph-from"), b: byId("morph-to") };
let frames = [];
let drawn = null;
let timer = null;
let forward = true;

const chosen = (group) => byId(group).querySelector("input:checked").value;

const request = () => ({ from: picks.a, to: picks.b, layer: chosen("morph-layer"), easing: chosen("morph-easing"), frames: byId("morph-frames").valueAsNumber });

/** Show the pictures of both picks, and the way between them, unless they are shown already. */
const draw = api.newest(async () => {
  const asked = JSON.stringify(request());
  if (asked === drawn) return;
  const way = document.querySelector(".way");
  way.setAttribute("aria-busy", "true");
  try {
    const ends = await Promise.all(["a", "b"].map((which) => api.picture(picks[which], ["output"])));
    ["a", "b"].forEach((which, index) => {
      const image = boxes[which].querySelector("img");
      image.src = ends[index].output;
      image.alt = `${which === "a" ? "From" : "To"}: ${described(picks[which])}`;
    });
    frames = (await api.morph(JSON.parse(asked))).frames;
    drawn = asked;
    byId("morph-scrub").max = frames.length - 1;
    const count = Math.min(FILM, frames.length);
    const film = Array.from({ length: count }, (_, index) => Math.round((index * (frames.length - 1)) / (count - 1)));
    byId("morph-film").replaceChildren(...film.map((index) => el("img", { class: "crisp", alt: "", src: frames[index] })));
    show(Math.min(byId("morph-scrub").valueAsNumber, frames.length - 1));
  } catch (error) {
    told(error);
  } finally {
    way.removeAttribute("aria-busy");
  }
});

function show(index) {
  byId("morph-scrub").value = index;
  showSlider(byId("morph-scrub"), `${index + 1} of ${frames.length}`);
  byId("morph-where").textContent = `${index + 1} / ${frames.length}`;
  byId("morph-frame").src = frames[index];
  byId("morph-edit").disabled = false;
  byId("morph-frame").alt = `Frame ${index + 1} of ${frames.length}`;
}

/** Go on by one frame, there and back. */
function step() {
  const at = byId("morph-scrub").valueAsNumber;
  if (at >= frames.length - 1) forward = false;
  else if (at <= 0) forward = true;
  if (frames.length > 1) show(at + (forward ? 1 : -1));
}

function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(step, 1000 / byId("morph-fps").valueAsNumber) : null;
  const button = byId("morph-play");
  button.setAttribute("aria-pressed", String(on));
  button.setAttribute("aria-label", on ? "Pause" : "Play");
  button.replaceChildren(icon(on ? "pause" : "play"));
}

async function download(form) {
  const button = byId(`morph-${form}`);
  button.disabled = true;
  try {
    save(await api.morphFile({ ...request(), fps: byId("morph-fps").valueAsNumber, there_and_back: true }, form), `${app.artifact.name}-morph.${form}`);
  } catch (error) {
    told(error);
  } finally {
    button.disabled = false;
  }
}

/** Open the frame that is shown in Generate, where its layers can be edited. */
async function edit() {
  try {
    const { state } = await api.morphFrame({ ...JSON.parse(drawn), index: byId("morph-scrub").valueAsNumber });
    changed("edit", state);
  } catch (error) {
    told(error);
  }
}

function showSettings() {
  showSlider(byId("morph-frames"));
  showSlider(byId("morph-fps"));
}

export function entered() {
  draw();
}

export function left() {
  play(false);
}

function pick(which, state) {
  picks[which] = state;
  byId("morph-scrub").value = 0;
}

onChange("artifact", (artifact) => {
  pick("a", stateOf(artifact, 0));
  pick("b", stateOf(artifact, 1));
  const names = ["all", ...Object.keys(artifact.latents)];
  const several = names.length > 2;
  byId("morph-layer").hidden = !several;
  byId("morph-layer").replaceChildren(byId("morph-layer").querySelector("legend"), ...(several ? names : ["all"]).map((name) =>
    el("label", {}, el("input", { type: "radio", name: "layer", value: name, checked: name === "all", "data-test": `morph-layer-${name}` }),
      el("span", { text: name === "all" ? "All" : title(name) }))));
  if (!byId("panel-morph").hidden) draw();
});
onChange("pick", ({ which, state }) => pick(which, state));

for (const which of ["a", "b"]) {
  boxes[which].addEventListener("click", (event) => {
    const act = event.target.closest("button")?.dataset.act;
    if (!act) return;
    pick(which, act === "take" ? app.state : stateOf(app.artifact, newSeeds(1)[0]));
    draw();
  });
}
onChange("studio", ({ video }) => { byId("morph-mp4").hidden = !video; });
byId("morph-edit").addEventListener("click", edit);
byId("morph-play").addEventListener("click", () => play(!timer));
byId("morph-scrub").addEventListener("input", () => { play(false); show(byId("morph-scrub").valueAsNumber); });
byId("morph-fps").addEventListener("input", () => { showSettings(); if (timer) play(true); });
byId("morph-frames").addEventListener("input", showSettings);
for (const id of ["morph-frames", "morph-layer", "morph-easing"]) byId(id).addEventListener("change", draw);
for (const form of ["gif", "webp", "mp4"]) byId(`morph-${form}`).addEventListener("click", () => download(form));
showSettings();
