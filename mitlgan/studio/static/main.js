// The page begins: artifacts, address, tabs.

import * as api from "./api.js";
import { app, artifactOf, changed, onChange } from "./app.js";
import { byId, el } from "./dom.js";
import * as embed from "./embed.js";
import * as generate from "./generate.js";
import * as inpaint from "./inpaint.js";
import * as morph from "./morph.js";
import { clearNotice, notice, told } from "./notice.js";
import * as quiz from "./quiz.js";
import { address, fragment } from "./state.js";
import { onShow, show, tab } from "./tabs.js";
import * as train from "./train.js";

const pages = { morph, embed, inpaint, train, quiz };

/** Offer the artifacts: one's own first, compositions before generators. */
function listArtifacts() {
  const kinds = [["composer", "compositions"], ["generator", "generators"]];
  const groups = [[true, "Your"], [false, "Shipped"]].flatMap(([own, owner]) => kinds.map(([kind, plural]) => {
    const members = app.artifacts.filter((artifact) => artifact.own === own && artifact.kind === kind);
    return members.length ? el("optgroup", { label: `${owner} ${plural}` }, ...members.map((artifact) => el("option", { value: artifact.id, text: nameOf(artifact) }))) : null;
  }));
  byId("artifact").replaceChildren(...groups.filter(Boolean));
  byId("artifact").disabled = false;
}

const nameOf = (artifact) => `${artifact.name} (${artifact.size_px} px)`;

/** Choose an artifact, and open its first picture or a given state. */
function choose(artifact, state = null) {
  app.artifact = artifact;
  byId("artifact").value = artifact.id;
  changed("artifact", artifact);
  return generate.begin(state);
}

/** Do what the address says; false where it names no picture. */
function follow() {
  const { tab: wanted, state, broken } = address();
  const artifact = state && artifactOf(state.artifact);
  if (broken) notice("This link is damaged: it holds no picture.");
  else if (state && !artifact) notice(`The artifact of this link, ${state.artifact}, is not on offer here; start the studio with it.`);
  show(wanted ?? "generate");
  if (!artifact) return false;
  if (artifact !== app.artifact) choose(artifact, state);
  else changed("open", { state, output: null, linked: true });
  return true;
}

async function begin() {
  show(address().tab ?? "generate"); // before the artifacts are there
  onShow((name, before) => {
    window.history.replaceState(null, "", fragment(name, app.state));
    clearNotice();
    pages[before]?.left?.();
    if (app.artifact) pages[name]?.entered?.();
  });
  byId("artifact").addEventListener("change", () => choose(artifactOf(byId("artifact").value)));
  onChange("edit", (state) => {
    show("generate");
    if (state.artifact === app.artifact.id) changed("open", { state, output: null });
    else choose(artifactOf(state.artifact), state);
  });
  window.addEventListener("popstate", follow);
  try {
    app.artifacts = await api.artifacts();
  } catch (error) {
    told(error);
    return;
  }
  if (!app.artifacts.length) {
    byId("artifact").replaceChildren(el("option", { text: "No artifact" }));
    notice("There is no artifact yet: train one with `mitlgan demo`, or start the studio with the path of one.");
    return;
  }
  listArtifacts();
  if (!follow()) choose(app.artifacts[0]);
  pages[tab()]?.entered?.();
}

begin();
