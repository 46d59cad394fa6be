// Inpaint: paint a hole into a picture and have it filled; before and after lie over each other.

import * as api from "./api.js";
import { app, onChange } from "./app.js";
import { byId, showSlider } from "./dom.js";
import { painter } from "./hole.js";
import { worker } from "./job.js";
import { say, told } from "./notice.js";
import { dataUri, fitted } from "./pixels.js";
import { pictureAddress } from "./state.js";

const easel = byId("easel-picture");
const MOST_PX = 768;
const SMOOTH_PX = 256;
let given = null;
let isOwn = false; // a photograph, or what was made of one: another artifact’s picture does not take its place
let coming = null;

const work = worker(() => ready());
const hole = painter(() => ready());

const method = () => byId("inpaint-method").querySelector("input:checked").value;

function showMethods() {
  byId("inpaint-method").hidden = app.artifact.fills.length < 2;
  byId("inpaint-time").hidden = method() !== "embed"; // an encoder takes no time
  showSlider(byId("inpaint-seconds"), `${byId("inpaint-seconds").value} s`);
}

function ready() {
  byId("inpaint-start").disabled = !given || hole.empty() || work.running();
  byId("inpaint-cancel").disabled = !work.running();
}

/** Put a picture, or one that is on its way, on the easel, unless another is taken before it comes; it is painted on at most so large, and filled at its own size. */
async function take(picture, { own = true } = {}) {
  const mine = { own };
  coming = mine;
  try {
    const file = await picture;
    const { canvas, width, height } = await fitted(file, MOST_PX);
    if (coming !== mine) return;
    given = file;
    isOwn = own;
    easel.width = canvas.width;
    easel.height = canvas.height;
    easel.getContext("2d").drawImage(canvas, 0, 0);
    for (const box of [byId("easel"), document.querySelector(".wipe")]) {
      box.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
      box.classList.toggle("smooth", Math.max(width, height) > SMOOTH_PX);
    }
    byId("inpaint-size").textContent = `${width} × ${height} px`;
    byId("compare").hidden = true;
    byId("inpaint-steps").hidden = false;
    hole.begin(canvas.width, canvas.height);
  } catch (error) {
    if (coming === mine) told(error);
  } finally {
    if (coming === mine) coming = null;
  }
}

const fromGenerate = () => take(api.blob(pictureAddress(app.state, "output")), { own: false });

export function entered() {
  if (!given && !coming) fromGenerate();
}

async function start() {
  const before = easel.toDataURL("image/png");
  byId("inpaint-progress").value = 0;
  try {
    const asked = { artifact: app.artifact.id, image: await dataUri(given), hole: hole.png(), method: method(), seconds: byId("inpaint-seconds").valueAsNumber };
    let job = "";
    const begin = () => api.inpaint(asked).then((answer) => { job = answer.job; return answer; });
    const { picture, width, height, note } = await work.run(begin, ({ step, of, preview }) => {
      byId("inpaint-progress").value = step / (of || 1);
      if (preview) compare(before, preview, false);
    });
    byId("inpaint-progress").value = 1;
    compare(before, picture);
    byId("inpaint-note").textContent = note ? `Not kept of your file: ${note}.` : "";
    byId("inpaint-note").hidden = !note;
    byId("inpaint-download").href = api.jobPicture(job);
    byId("inpaint-download").querySelector("span").textContent = `${width} × ${height} px`;
    say("The hole is filled.");
  } catch (error) {
    byId("inpaint-progress").value = 0;
    if (byId("inpaint-result").hidden) { // no result, but a look on the way to one
      byId("compare").hidden = true;
      byId("inpaint-steps").hidden = false;
    }
    told(error);
  }
}

/** Show the picture before and after; only what is whole can be downloaded, and painted on. */
function compare(before, after, whole = true) {
  byId("wipe-before").src = before;
  byId("wipe-after").src = after;
  byId("inpaint-result").hidden = !whole;
  byId("inpaint-note").hidden = true;
  byId("compare").hidden = false;
  byId("inpaint-steps").hidden = true;
}

onChange("artifact", () => {
  work.cancel();
  const own = coming ? coming.own : isOwn;
  if (!own) given = coming = null;
  if (!app.artifact.fills.includes(method())) byId("inpaint-method").querySelector("input").checked = true;
  showMethods();
  ready();
  if (!own && !byId("panel-inpaint").hidden) fromGenerate();
});
byId("inpaint-file").addEventListener("change", () => {
  if (byId("inpaint-file").files.length) take(byId("inpaint-file").files[0]);
  byId("inpaint-file").value = "";
});
byId("easel").addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
});
byId("inpaint-own").addEventListener("click", fromGenerate);
byId("inpaint-method").addEventListener("change", showMethods);
byId("inpaint-seconds").addEventListener("input", showMethods);
byId("inpaint-start").addEventListener("click", start);
byId("inpaint-cancel").addEventListener("click", work.cancel);
byId("inpaint-again").addEventListener("click", () => take(api.blob(byId("inpaint-download").getAttribute("href"))));
byId("wipe").addEventListener("input", () => document.querySelector(".wipe").style.setProperty("--at", `${byId("wipe").value}%`));
