// Train: runs in progress and past, their curves and snapshots.

import * as api from "./api.js";
import { app, changed, onChange } from "./app.js";
import { draw, short } from "./chart.js";
import { byId, el, listbox, mark, showSlider, slider } from "./dom.js";
import { told } from "./notice.js";
import * as training from "./training.js";

const EVERY_MS = 1000;
const CURVES = [
  { name: "Estimated distance", keys: { wasserstein: "estimate" } },
  { name: "Scores", keys: { score_real: "real", score_fake: "generated" } },
  { name: "Critic’s loss", keys: { critic_loss: "critic" } },
  { name: "Generator’s loss", keys: { generator_loss: "generator" } },
  { name: "Gradient penalty", keys: { penalty: "penalty" } },
  { name: "Gradient norms", keys: { critic_grad_norm: "critic", generator_grad_norm: "generator" } },
  { name: "Diversity", keys: { diversity: "diversity" } },
];
const STEPS = [
  ["Foreground", "Objects that are cut out, each with its matte.", "mitlgan pretrain fg"],
  ["Background", "Places without an object.", "mitlgan pretrain bg"],
  ["Composition", "Both, unchanged, joined into scenes.", "mitlgan compose"],
];
let runs = null;
let chosen = null;
let rows = [];
let opened = 0;
let timer = null;
let asking = false;
let askAgain = false;
let current = null;
let watched = null;
const asked = new Set();

async function refresh() {
  if (asking) {
    askAgain = true;
    return undefined;
  }
  asking = true;
  try {
    current = await training.refresh();
    const found = await api.runs();
    if (found.some((run) => run.status === "done" && !run.artifact && run.command !== "compare" && !asked.has(run.id))) await offerNew(found);
    if (JSON.stringify(found) !== JSON.stringify(runs)) {
      runs = found;
      list();
    }
    if (current?.run && current.run !== watched && runs.some((run) => run.id === current.run)) { // a training that has begun is shown at once
      watched = current.run;
      if (current.run !== chosen) return await open(current.run);
    }
    const run = runs.find((each) => each.id === chosen) ?? runs[0];
    if (!run) return undefined;
    if (run.id !== chosen) return await open(run.id);
    return await follow(run);
  } catch (error) {
    told(error); // and asked again: a server comes back
    return undefined;
  } finally {
    asking = false;
    if (askAgain) {
      askAgain = false;
      refresh();
    }
  }
}

/** Runs have ended: what they made is offered from now on. */
async function offerNew(found) {
  for (const run of found) if (run.status === "done") asked.add(run.id);
  app.artifacts = await api.artifacts();
  changed("artifacts");
  training.rebuild();
}

function list() {
  const box = byId("runs");
  const focused = box.contains(document.activeElement);
  box.replaceChildren(...runs.map((run) =>
    el("div", { role: "option", "data-id": run.id, "data-test": "run-item" },
      el("b", { text: run.name }), el("span", { class: "state", "data-state": run.status, text: run.status === "empty" ? "not begun" : run.status }), el("small", { text: `${run.command} · ${far(run)}` }))));
  mark(box, box.querySelector(`[data-id="${CSS.escape(chosen ?? "")}"]`));
  if (focused) box.querySelector('[tabindex="0"]')?.focus();
  if (runs.length) return;
  chosen = null;
  byId("run").replaceChildren(el("div", { class: "empty", "data-test": "no-runs" }, el("h2", { text: "No runs yet" }),
    el("p", { text: "A composition takes three trainings. Start them here, or in a terminal; curves and first pictures appear while they train." }),
    el("ol", { class: "steps" }, ...STEPS.map(([name, text, command]) => el("li", {}, el("b", { text: name }), el("p", { text }), el("code", { text: command }))))));
}

function far(run) {
  const kimg = run.kimg === null || run.kimg === undefined ? "" : `${short(run.kimg)}${run.of ? ` of ${short(run.of)}` : ""} kimg`;
  return [kimg, run.started ? new Date(1000 * run.started).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }) : ""].filter(Boolean).join(" · ");
}

function facts(run) {
  const said = [run.status === "empty" ? "not begun" : run.status, far(run)];
  if (run.images_per_s) said.push(`${short(run.images_per_s)} images per second`);
  if (run.status === "running" && run.eta_s) said.push(`about ${run.eta_s < 90 ? `${Math.round(run.eta_s)} s` : `${Math.round(run.eta_s / 60)} min`} to go`);
  if (run.diagnosis) said.push(run.diagnosis);
  return said;
}

function open(id) {
  chosen = id;
  rows = [];
  opened += 1;
  const run = runs.find((each) => each.id === id);
  mark(byId("runs"), byId("runs").querySelector(`[data-id="${CSS.escape(id)}"]`));
  byId("run").replaceChildren(
    el("div", { class: "bar" }, el("h2", { text: `${run.command} ${run.name}` }), el("div", { class: "acts" })),
    el("progress", { max: 1, value: 0, hidden: !run.of, "aria-label": "How far it is" }),
    el("p", { class: "hint", "data-test": "run-facts" }),
    el("div", { class: "looks" },
      el("div", { class: "snapshots", "data-test": "snapshots" }),
      el("div", { class: "charts", "data-test": "charts" }, ...CURVES.map((curve) => el("figure", { class: "chart", "data-name": curve.name, hidden: true })))));
  return follow(run);
}

/** Read what the run has written since, and draw it. */
async function follow(run) {
  const box = byId("run");
  box.querySelector("progress").value = run.of ? Math.min(1, run.kimg / run.of) : 0;
  const number = opened;
  const last = () => rows.at(-1)?.iteration ?? -1;
  const answer = await api.stats(run.id, last()).catch(told);
  if (!answer || number !== opened) return; // of another run, or of an earlier look at this one
  const held = last(); // another answer may have come first, with the same rows
  const fresh = answer.filter((row) => row.iteration > held);
  if (fresh.length || !rows.length) {
    rows = rows.concat(fresh);
    curves(box);
  }
  box.querySelector('[data-test="run-facts"]').textContent = facts(run).join(" · ");
  snapshots(run, box.querySelector(".snapshots"));
  if (run.has_report && !box.querySelector(".report")) report(run, box);
  acts(run, box.querySelector(".acts"));
}

/** What can be done with a run now. */
function acts(run, box) {
  const number = current?.number;
  const trains = current?.run === run.id && ["starting", "running"].includes(current.state);
  const resumable = run.can_resume && !["starting", "running", "stopping"].includes(current?.state);
  const buttons = [
    trains && ["stop", "Stop", () => training.act(() => api.stopTraining(number))],
    resumable && ["resume", "Resume", () => training.act(() => api.resumeTraining(run.id, false))],
    resumable && ["finish", "Finish as it is", () => training.act(() => api.resumeTraining(run.id, true))],
    run.artifact && ["use", "Open in Generate", () => changed("use", run.artifact)],
  ].filter(Boolean);
  const names = buttons.map(([name]) => name).join() + (trains ? number : ""); // each button is for the training that it was made for
  if (box.dataset.names === names) return;
  box.dataset.names = names;
  box.querySelectorAll("button").forEach((button) => button.remove());
  box.prepend(...buttons.map(([name, text, act], index) => el("button", { type: "button", class: index ? null : "primary", "data-test": `run-${name}`, onclick: act, text })));
}

function report(run, box) {
  const address = `api/runs/${encodeURIComponent(run.id)}/report`;
  box.querySelector(".acts").append(el("a", { class: "button", href: address, target: "_blank", rel: "noopener", "data-test": "report", text: "Open the report" }));
  box.append(el("iframe", { class: "report", src: address, title: `Report of ${run.name}`, loading: "lazy" }));
}

function curves(box) {
  for (const { name, keys } of CURVES) {
    const figure = box.querySelector(`[data-name="${CSS.escape(name)}"]`);
    const drawn = Object.entries(keys)
      .map(([key, label]) => ({ name: label, points: rows.filter((row) => typeof row[key] === "number").map((row) => [row.kimg, row[key]]) }))
      .filter((curve) => curve.points.length);
    figure.hidden = !drawn.length;
    if (drawn.length) draw(figure, name, drawn, { x: "kimg" });
  }
}

function snapshots(run, box) {
  const kept = run.snapshots ?? [];
  const before = Number(box.dataset.count ?? 0);
  if (kept.length === before) return;
  const input = box.querySelector("input");
  const follows = !input || Number(input.value) === before - 1; // who looks at the last one sees the next one
  const at = follows ? kept.length - 1 : Number(input.value);
  box.dataset.count = kept.length;
  const image = el("img", { class: "crisp", "data-test": "snapshot" });
  const show = () => {
    const number = kept[made.querySelector("input").valueAsNumber];
    image.src = `api/runs/${encodeURIComponent(run.id)}/snapshot/${number}.png`;
    image.alt = `Snapshot at ${number} ${run.snapshot_unit}`;
    showSlider(made.querySelector("input"), `${number} ${run.snapshot_unit}`);
  };
  const made = slider({ label: "Snapshot", min: 0, max: kept.length - 1, step: 1, value: at, name: "snapshot-slider", oninput: show });
  box.replaceChildren(made, image);
  show();
}

function stop() {
  clearInterval(timer);
  timer = null;
}

export function entered() {
  stop();
  refresh();
  timer = setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
}

export const left = stop;

onChange("training", () => { if (timer) refresh(); });
listbox(byId("runs"), (option) => open(option.dataset.id));
