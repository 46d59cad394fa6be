// What the page says: one line when something went wrong, a quiet one for screen readers, a bar while the server works.

import { byId } from "./dom.js";

const SLOW_MS = 250;
let going = 0;
let hiding = null;

/** Show a line; what is `bad` stays until it is closed. */
export function notice(line, { bad = true } = {}) {
  const box = byId("notice");
  box.querySelector("p").textContent = line;
  box.classList.toggle("bad", bad);
  box.hidden = false;
  clearTimeout(hiding);
  if (!bad) hiding = setTimeout(clearNotice, 4000);
}

export function clearNotice() {
  byId("notice").hidden = true;
}

/** Tell an error, unless it is only that something newer took its place. */
export function told(error) {
  if (error.name === "AbortError") return;
  notice(error.message || String(error));
}

/** Say something to those who listen; nothing is seen. */
export function say(line) {
  byId("said").textContent = line;
}

/** Show that the server works while a promise is open, if it takes long enough to be noticed. */
export async function busy(promise) {
  going += 1;
  const timer = setTimeout(() => { byId("progress").hidden = false; }, SLOW_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    going -= 1;
    if (going === 0) byId("progress").hidden = true;
  }
}

document.querySelector("#notice button").addEventListener("click", clearNotice);
