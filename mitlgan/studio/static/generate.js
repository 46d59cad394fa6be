// Generate: one picture large, with its layers and stages, and all that is done to it.

import * as api from "./api.js";
import { app, changed, onChange } from "./app.js";
import * as controls from "./controls.js";
import { byId, el, title } from "./dom.js";
import { say, told } from "./notice.js";
import * as scenes from "./scenes.js";
import { movable } from "./stage.js";
import { described, fragment } from "./state.js";
import { tab } from "./tabs.js";

const EVERYTHING = ["output", "layers", "matte", "fused"];
let stages = {};
let shown = "output";
let stand = null;
let link = null;

/** Show an artifact, by its first picture or that of a link. */
export function begin(linked = null) {
  shown = "output";
  stages = {};
  byId("stages").replaceChildren();
  byId("stage-image").removeAttribute("src");
  controls.suit(app.artifact);
  const moves = app.artifact.movable.length > 0;
  byId("stage").classList.toggle("movable", moves);
  const front = title(app.artifact.front ?? "").toLowerCase();
  byId("stage").setAttribute("aria-label", moves ? `Picture; move its ${front}` : "Picture");
  byId("stage-hint").textContent = moves
    ? `Drag the ${front} to move it, wheel or pinch to scale it. With keys: arrows, + and −, F mirrors.`
    : app.artifact.layers.length > 1 ? "Nothing can be moved here: this composition mixes its layers without mattes." : "";
  byId("stage-hint").hidden = !byId("stage-hint").textContent;
  const artifact = app.artifact;
  return scenes.begin(linked).then(() => { if (artifact === app.artifact) controls.showDirections(artifact); });
}

function open({ state, output, linked }) {
  app.state = state;
  link = linked ? state : null;
  stand = null;
  if (output && shown === "output") byId("stage-image").src = output;
  controls.show(state, stand);
  return draw(true, linked ? "replace" : "push");
}

function edit(change, settled) {
  app.state = { ...app.state, ...change };
  if (change.stand) stand = change.stand;
  controls.show(app.state, stand);
  draw(settled, settled ? "replace" : null);
}

/** Which of the server's stages holds what is shown large. */
const stageShown = () => (["output", "fused", "matte"].includes(shown) ? shown : "layers");

const draw = api.newest(async (settled, history) => {
  const asked = app.state;
  byId("stage").setAttribute("aria-busy", "true");
  try {
    const answer = await api.picture(asked, settled ? EVERYTHING : [...new Set(["output", stageShown()])]);
    if (asked.artifact !== app.artifact.id) return;
    const { output, fused, matte, layers } = answer;
    stages = { ...stages, ...present({ output, fused, matte }), ...layers };
    if (app.state === asked) {
      app.state = answer.state;
      stand = answer.stand;
      controls.show(app.state, stand);
    }
    show();
    if (settled) rest(answer, history);
  } catch (error) {
    if (asked === link && app.state === link && error.status === 422) changed("refused link");
    else told(error);
  } finally {
    byId("stage").removeAttribute("aria-busy");
  }
});

const present = (pictures) => Object.fromEntries(Object.entries(pictures).filter(([, address]) => address));

/** The hand has come to rest: address, downloads and grid follow. */
function rest(answer, history) {
  controls.offer(answer.state);
  scenes.keep(answer.state, answer.output);
  const address = fragment(tab(), answer.state);
  if (history === "push" && location.hash !== "") window.history.pushState(null, "", address);
  else window.history.replaceState(null, "", address);
  say(`Picture ready: ${described(answer.state)}`);
}

function show() {
  const names = ["output", "fused", "matte", ...[...app.artifact.layers].reverse()].filter((name) => stages[name]);
  if (app.artifact.layers.length < 2) names.splice(1); // a generator's one layer is the picture itself
  if (!names.includes(shown)) shown = "output";
  const strip = byId("stages");
  strip.hidden = names.length < 2;
  if ([...strip.children].map((each) => each.dataset.name).join() !== names.join()) {
    strip.replaceChildren(...names.map((name) =>
      el("button", { type: "button", "data-name": name, "data-test": `stage-${name}`, onclick: () => { shown = name; show(); } },
        el("img", { class: "crisp", alt: "", draggable: "false" }), el("span", { text: title(name) }))));
  }
  for (const button of strip.children) {
    button.querySelector("img").src = stages[button.dataset.name];
    button.setAttribute("aria-pressed", String(button.dataset.name === shown));
  }
  byId("stage-image").src = stages[shown];
  byId("stage-image").alt = `${title(shown)} of ${described(app.state)}`;
}

onChange("open", open);
controls.ready(edit, () => stand);
movable({
  stand: () => (app.artifact?.movable.length ? stand : null),
  size: () => app.artifact.size_px,
  moved: (place, settled) => edit({ stand: place }, settled),
});
