// Embed: a picture of one's own becomes the nearest one that the artifact can make, whose layers can then be edited.

import * as api from "./api.js";
import { app, changed, onChange } from "./app.js";
import { draw, short } from "./chart.js";
import { byId, showSlider } from "./dom.js";
import { worker } from "./job.js";
import { say, told } from "./notice.js";
import { pictureIn, square } from "./pixels.js";
import { pictureAddress } from "./state.js";
import { tab } from "./tabs.js";

let given = null;
let wanted = null;
let found = null;
let errors = [];

const work = worker(() => ready());

/** Show the middle square of the picture that is wanted, as the artifact will see it. */
const drawGiven = api.newest(async () => {
  const file = wanted;
  try {
    const { size_px: size } = app.artifact;
    const seen = await square(file, size);
    if (file !== wanted || size !== app.artifact.size_px) return; // drawn again at once
    reset();
    given = file;
    byId("embed-given").src = seen.toDataURL();
    byId("embed-given").alt = "Your picture, as large as the artifact’s";
    ready();
  } catch (error) {
    if (file === wanted) wanted = given;
    told(error);
  }
});

/** Take a picture in the place of the one that was given. */
async function take(file) {
  wanted = file;
  await drawGiven();
  if (given === file) byId("embed-start").focus();
}

/** End what is under way and clear its result: it is of another picture, or of another artifact. */
function reset() {
  work.cancel();
  found = null;
  errors = [];
  byId("embed-progress").value = 0;
  for (const id of ["embed-step", "embed-error", "embed-psnr"]) byId(id).textContent = "–";
  byId("embed-phase").textContent = "";
  byId("embed-curve").replaceChildren();
  byId("embed-found").removeAttribute("src");
  byId("embed-found").alt = "";
  ready();
}

const PHASES = {
  starts: "Looking through random latents for a beginning …", search: "Refining the latents …", polish: "Polishing the best ones …",
};

function show({ step, of, phase, error, psnr, preview }) {
  byId("embed-phase").textContent = PHASES[phase] ?? "Searching …";
  byId("embed-progress").value = step / (of || 1);
  byId("embed-step").textContent = `${step} of ${of}`;
  byId("embed-error").textContent = short(error);
  byId("embed-psnr").textContent = psnr === null || psnr === undefined ? "–" : `${psnr.toFixed(1)} dB`;
  if (preview) {
    byId("embed-found").src = preview;
    byId("embed-found").alt = `What the artifact makes of it at step ${step}`;
  }
  errors.push([step, error]);
  draw(byId("embed-curve"), "Error by step", [{ name: "error", points: errors }], { x: "step", log: true });
}

function ready() {
  const on = work.running();
  byId("embed-start").disabled = on || !given;
  byId("embed-cancel").disabled = !on;
  byId("embed-edit").disabled = on || !found;
}

async function start() {
  reset();
  const begin = () => api.embed(given, app.artifact.id, byId("embed-seconds").valueAsNumber);
  try {
    const answer = await work.run(begin, show);
    found = answer.state;
    byId("embed-progress").value = 1;
    byId("embed-error").textContent = short(answer.error);
    byId("embed-psnr").textContent = `${answer.psnr.toFixed(1)} dB`;
    byId("embed-found").src = answer.picture;
    const late = ["time", "steps"].includes(answer.ended) && answer.psnr < 30;
    byId("embed-phase").textContent = late ? "It had not settled at the time limit: this is the best until then. Give it more seconds." : answer.psnr >= 30 ? "Done: both look alike." : answer.psnr >= 20 ? "Done: similar, with other details." : "Done, but the artifact cannot make such a picture.";
    ready();
    say("Embedded; its layers can be edited.");
  } catch (error) {
    byId("embed-phase").textContent = "";
    told(error);
  }
}

function drop(event) {
  event.preventDefault();
  byId("embed-drop").classList.remove("over");
  const file = pictureIn(event.dataTransfer.files);
  if (file) take(file);
  else told(new Error("No picture was dropped; take a PNG, JPEG, WebP or GIF."));
}

onChange("artifact", () => {
  reset();
  if (wanted) drawGiven();
});
const box = byId("embed-drop");
box.addEventListener("dragover", (event) => { event.preventDefault(); box.classList.add("over"); });
box.addEventListener("dragleave", () => box.classList.remove("over"));
box.addEventListener("drop", drop);
document.addEventListener("paste", (event) => {
  const file = tab() === "embed" && pictureIn(event.clipboardData.files);
  if (file) take(file);
});
byId("embed-file").addEventListener("change", () => {
  if (byId("embed-file").files.length) take(byId("embed-file").files[0]);
  byId("embed-file").value = "";
});
byId("embed-own").addEventListener("click", () => api.blob(pictureAddress(app.state, "output")).then(take, told));
byId("embed-start").addEventListener("click", start);
byId("embed-cancel").addEventListener("click", work.cancel);
byId("embed-edit").addEventListener("click", () => changed("edit", found));
byId("embed-seconds").addEventListener("input", () => showSlider(byId("embed-seconds"), `${byId("embed-seconds").value} s`));
showSlider(byId("embed-seconds"), `${byId("embed-seconds").value} s`);
