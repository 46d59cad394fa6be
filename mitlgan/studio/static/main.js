// The page begins: artifacts, address, tabs.

import * as api from "./api.js";
import { app, artifactOf, changed, onChange } from "./app.js";
import { openSaved } from "./controls.js";
import { byId, el } from "./dom.js";
import * as embed from "./embed.js";
import * as generate from "./generate.js";
import * as inpaint from "./inpaint.js";
import * as morph from "./morph.js";
import { clearNotice, notice, told } from "./notice.js";
import * as quiz from "./quiz.js";
import { pictureIn } from "./pixels.js";
import { FIRST_SEEDS, address, fragment, stateOf } from "./state.js";
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
  if (app.artifact) byId("artifact").value = app.artifact.id;
  byId("artifact").disabled = false;
}

const nameOf = (artifact) => `${artifact.name} (${artifact.size_px} px)`;

/** Choose an artifact, and open its first picture or a given state. */
function choose(artifact, state = null) {
  app.artifact = artifact;
  app.state = state ?? stateOf(artifact, FIRST_SEEDS[0]); // before the tabs hear of it: they draw it
  byId("artifact").value = artifact.id;
  changed("artifact", artifact);
  return generate.begin(state);
}

/** Do what the address says; false where it names no picture. */
function follow() {
  const { tab: wanted, state, broken } = address();
  const artifact = state && artifactOf(state.artifact);
  if (broken) notice(broken);
  else if (state && !artifact) notice(`The artifact of this link, ${state.artifact}, is not on offer here; start the studio with it.`);
  show(wanted ?? "generate");
  if (!artifact) return false;
  if (artifact !== app.artifact) choose(artifact, state);
  else changed("open", { state, output: null, linked: true });
  return true;
}

onChange("studio", ({ version, docs }) => {
  byId("foot").replaceChildren(`mitlgan ${version}`, ...(docs ? [" · ", el("a", { href: "docs", "data-test": "docs", text: "REST API" })] : []));
});

// A picture that is dropped anywhere else opens as it was made; the browser would show it in the page's place.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (event.defaultPrevented) return;
  event.preventDefault();
  const file = pictureIn(event.dataTransfer.files);
  if (file) openSaved(file);
  else if (event.dataTransfer.files.length) told(new Error("No picture was dropped; take a PNG or WebP that was saved here."));
});

async function begin() {
  show(address().tab ?? "generate"); // before the artifacts are there
  onShow((name, before) => {
    window.history.replaceState(null, "", fragment(name, app.state));
    clearNotice();
    pages[before]?.left?.();
    if (app.artifact || name === "train") pages[name]?.entered?.();
  });
  byId("artifact").addEventListener("change", () => choose(artifactOf(byId("artifact").value)));
  onChange("edit", (state) => {
    show("generate");
    if (state.artifact === app.artifact.id) changed("open", { state, output: null });
    else choose(artifactOf(state.artifact), state);
  });
  onChange("artifacts", () => {
    if (!app.artifact && app.artifacts.length) choose(app.artifacts[0]);
    listArtifacts();
  });
  onChange("refused link", () => {
    notice(`This link is damaged: it holds no picture that ${app.artifact.name} can make. Its first picture is shown instead.`);
    choose(app.artifact);
  });
  onChange("use", (id) => {
    show("generate");
    choose(artifactOf(id));
  });
  window.addEventListener("popstate", follow);
  api.studio().then((answer) => changed("studio", answer), told);
  try {
    app.artifacts = await api.artifacts();
  } catch (error) {
    told(error);
    return;
  }
  if (!app.artifacts.length) {
    byId("artifact").replaceChildren(el("option", { text: "No artifact" }));
    notice("There is no artifact yet: train one, or start the studio with the path of one.");
    pages[tab()]?.entered?.();
    return;
  }
  listArtifacts();
  if (!follow()) choose(app.artifacts[0]);
  pages[tab()]?.entered?.();
}

begin();
