// Inpaint: paint a hole into a picture and have it filled; before and after lie over each other.

import * as api from "./api.js";
import { app, onChange } from "./app.js";
import { byId, showSlider } from "./dom.js";
import { painter } from "./hole.js";
import { worker } from "./job.js";
import { say, told } from "./notice.js";
import { loaded, square } from "./pixels.js";
import { pictureAddress } from "./state.js";

const easel = byId("easel-picture");
let filled = false;

const work = worker(() => ready());
const hole = painter(() => ready());

const method = () => byId("inpaint-method").querySelector("input:checked").value;

function showMethods() {
  byId("inpaint-method").hidden = app.artifact.fills.length < 2;
  byId("inpaint-time").hidden = method() !== "embed"; // an encoder takes no time
  showSlider(byId("inpaint-seconds"), `${byId("inpaint-seconds").value} s`);
}

function ready() {
  byId("inpaint-start").disabled = !filled || hole.empty() || work.running();
  byId("inpaint-cancel").disabled = !work.running();
}

/** Put a picture on the easel. */
function put(picture) {
  easel.width = picture.width;
  easel.height = picture.height;
  easel.getContext("2d").drawImage(picture, 0, 0);
  filled = true;
  byId("compare").hidden = true;
  hole.begin(picture.width);
}

const take = (file) => square(file, app.artifact.size_px).then(put).catch(told);

const own = () => api.blob(pictureAddress(app.state, "output")).then(take, told);

export function entered() {
  if (!filled) own();
}

async function start() {
  const image = easel.toDataURL("image/png");
  const asked = { artifact: app.artifact.id, image, hole: hole.png(), method: method(), seconds: byId("inpaint-seconds").valueAsNumber };
  byId("inpaint-progress").value = 0;
  try {
    const { picture } = await work.run(() => api.inpaint(asked), ({ step, of, preview }) => {
      byId("inpaint-progress").value = step / (of || 1);
      if (preview) compare(image, preview);
    });
    byId("inpaint-progress").value = 1;
    compare(image, picture);
    say("The hole is filled.");
  } catch (error) {
    told(error);
  }
}

function compare(before, after) {
  byId("wipe-before").src = before;
  byId("wipe-after").src = after;
  byId("inpaint-download").href = after;
  byId("compare").hidden = false;
}

onChange("artifact", () => {
  work.cancel();
  filled = false;
  if (!app.artifact.fills.includes(method())) byId("inpaint-method").querySelector("input").checked = true;
  showMethods();
  ready();
  if (!byId("panel-inpaint").hidden) own();
});
byId("inpaint-file").addEventListener("change", () => {
  if (byId("inpaint-file").files.length) take(byId("inpaint-file").files[0]);
  byId("inpaint-file").value = "";
});
byId("inpaint-own").addEventListener("click", own);
byId("inpaint-method").addEventListener("change", showMethods);
byId("inpaint-seconds").addEventListener("input", showMethods);
byId("inpaint-start").addEventListener("click", start);
byId("inpaint-cancel").addEventListener("click", work.cancel);
byId("inpaint-again").addEventListener("click", () => loaded(byId("wipe-after").src).then(put).catch(told));
byId("wipe").addEventListener("input", () => document.querySelector(".wipe").style.setProperty("--at", `${byId("wipe").value}%`));
