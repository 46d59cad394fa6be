// The server, as the page asks it. A 503 is asked again when the server says it may be.

import { busy, clearNotice, notice } from "./notice.js";
import { asPicture } from "./pixels.js";

const TRIES = 5;
const LONGEST_WAIT_S = 10;
const SILENT_MS = 8000; // the browser tries again after 3 s
const SILENT = "The studio’s server does not answer. Is `mitlgan studio` still running?";

/** What the server refused, in its own line. */
export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.name = "Refusal";
    this.status = status;
  }
}

const asleep = (seconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });

async function refusal(response) {
  let line = "";
  try {
    line = (await response.json()).error;
  } catch { /* not the server's own words */ }
  return new Refusal(line || `The server answered ${response.status} ${response.statusText}`, response.status);
}

async function ask(path, options) {
  let waited = false;
  for (let attempt = 1; ; attempt += 1) {
    let response;
    try {
      response = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal(SILENT, 0);
    }
    if (response.ok) {
      if (waited) clearNotice();
      return response;
    }
    if (response.status !== 503 || attempt === TRIES) throw await refusal(response);
    const seconds = Math.min(LONGEST_WAIT_S, Math.max(0.2, Number(response.headers.get("Retry-After")) || 1));
    notice(`The server is busy; trying again in ${Math.ceil(seconds)} s.`, { bad: false });
    waited = true;
    await asleep(seconds, options.signal);
  }
}

const sent = (body, signal, method = "POST") => ({ method, signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const json = (path, options = {}) => busy(ask(path, options).then((response) => response.json()));

export const artifacts = () => json("api/artifacts");
export const picture = (state, want, signal) => json("api/picture", sent({ state, want }, signal));
export const grid = (state, vary, signal) => json("api/grid", sent({ state, vary }, signal));
export const studio = () => json("api/studio");
export const children = (parents, seeds, signal) => json("api/children", sent({ parents, seeds }, signal));
export const directions = (artifact, signal) => json(`api/directions?${new URLSearchParams({ artifact })}`, { signal });
export const nameDirection = (artifact, latent, index, name) => ask("api/directions/name", sent({ artifact, latent, index, name }));
export const morphFrame = (body) => json("api/morph/frame", sent(body));
export const morph = (body, signal) => json("api/morph", sent(body, signal));
export const morphFile = (body, form) => busy(ask(`api/morph.${form}`, sent(body)).then((response) => response.blob()));
export const blob = (path) => busy(ask(path, {}).then((response) => response.blob()));
export const inpaint = (body) => json("api/inpaint", sent(body));
export const runs = () => ask("api/runs", {}).then((response) => response.json());
export const stats = (id, after) => ask(`api/runs/${encodeURIComponent(id)}/stats?after=${after}`, {}).then((response) => response.json());
export const training = () => ask("api/training", {}).then((response) => response.json());
export const startTraining = (wish) => json("api/training", sent(wish));
export const stopTraining = (number) => json("api/training/stop", sent({ number }));
export const resumeTraining = (run, end) => json("api/training/resume", sent({ run, end }));
export const quiz = (artifact) => json("api/quiz", sent({ artifact }));
export const answer = (id, given) => json(`api/quiz/${encodeURIComponent(id)}`, sent({ answer: given }));
export const cancel = (job) => ask(`api/jobs/${encodeURIComponent(job)}`, { method: "DELETE" });

/** Where the whole picture of a job is. */
export const jobPicture = (job) => `api/jobs/${encodeURIComponent(job)}/picture.png`;

/** A picture's bytes as they are; the browser sends their type with them. */
const sentPicture = (file) => ({ method: "POST", body: asPicture(file) });

/** The state of a saved picture, by what its file says. */
export const record = (file) => json("api/record", sentPicture(file));

/** Begin an embedding of a picture's bytes as they are. */
export function embed(bytes, artifact, seconds) {
  const query = new URLSearchParams({ artifact, seconds });
  return json(`api/embed?${query}`, sentPicture(bytes));
}

/**
 * Follow a job by its server-sent events.
 *
 * @param {string} job Its id.
 * @param {(values: object) => void} progress Called at each step.
 * @returns {{done: Promise<object>, close: () => void}} `done` fails with the server's line, or with an AbortError once closed.
 */
export function follow(job, progress) {
  const source = new EventSource(`api/jobs/${encodeURIComponent(job)}/events`);
  let close;
  let silent = null;
  const heard = () => { clearTimeout(silent); silent = null; };
  const done = new Promise((resolve, reject) => {
    const end = (act) => (event) => { heard(); source.close(); act(event); };
    close = end(() => reject(new DOMException("closed", "AbortError")));
    source.addEventListener("progress", (event) => progress(JSON.parse(event.data)));
    source.addEventListener("done", end((event) => resolve(JSON.parse(event.data))));
    source.addEventListener("cancelled", end(() => reject(new Refusal("The server has stopped this work. Is it being shut down? Start the work again.", 0)))); // who cancels here has closed it before
    source.addEventListener("failed", end((event) => reject(new Refusal(JSON.parse(event.data).message, 0))));
    source.addEventListener("open", heard);
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) end(() => reject(new Refusal("The server no longer tells how the work goes; start it again.", 0)))();
      else silent ??= setTimeout(end(() => reject(new Refusal(SILENT, 0))), SILENT_MS);
    });
  });
  return { done, close };
}

/**
 * Run one piece of work at a time, the newest last: what is asked for in between is dropped.
 *
 * @param {(...given: any[]) => Promise<void>} work
 * @returns {(...given: any[]) => Promise<void>} Resolves when what it began, or what took its place, has ended.
 */
export function newest(work) {
  let running = null;
  let waiting = null;
  const go = async () => {
    while (waiting) {
      const given = waiting;
      waiting = null;
      await work(...given);
    }
  };
  return (...given) => {
    waiting = given;
    running ??= go().finally(() => { running = null; });
    return running;
  };
}
