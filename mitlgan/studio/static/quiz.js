// Quiz: real or generated? The truth stays on the server until an answer is given.

import * as api from "./api.js";
import { app, onChange } from "./app.js";
import { byId, el, typing } from "./dom.js";
import { say, told } from "./notice.js";
import { tab } from "./tabs.js";

const KEYS = { r: "real", f: "fake" };
const ARROWS = { arrowleft: "real", arrowright: "fake" };
const MOST_PAST = 40;
const LOOK_MS = 250; // what comes sooner is the second half of a double click
const WORDS = { real: "real", fake: "generated" };
let asked = null;
let answering = false;
let round = 0;
let looking = null;

function ask(question) {
  asked = question;
  byId("quiz-picture").src = question.picture;
  byId("quiz-none").hidden = true;
  byId("quiz").hidden = false;
  byId("quiz-hint").textContent = `Half of them are real (${question.real_pictures}: ${pictures(question.real_count)}, each asked about once), half are the artifact’s. Which it is stays on the server until you have answered.`;
  looking = setTimeout(() => enable(true), LOOK_MS);
}

const pictures = (count) => (count === 1 ? "1 picture" : `${count.toLocaleString("en")} pictures`);

/** All real pictures have been asked about. */
function end(count) {
  const line = `The quiz is over: it has asked about ${count === 1 ? "the only real picture" : `all ${pictures(count)} that are real`}, and a second time each would give itself away.`;
  byId("quiz-hint").textContent = line;
  say(line);
}

function enable(on) {
  clearTimeout(looking);
  answering = !on;
  byId("quiz-real").disabled = !on;
  byId("quiz-fake").disabled = !on;
}

async function begin() {
  round += 1;
  const mine = round;
  enable(false);
  byId("quiz-none").hidden = true;
  byId("quiz").hidden = false;
  byId("quiz-truth").textContent = "";
  byId("quiz-truth").className = "truth";
  byId("quiz-past").replaceChildren();
  score({ asked: 0, right: 0, interval: null });
  try {
    const question = await api.quiz(app.artifact.id);
    if (mine === round) ask(question);
    return undefined;
  } catch (error) {
    if (mine !== round) return undefined; // of an artifact that is no longer chosen
    asked = null;
    byId("quiz-picture").removeAttribute("src");
    if (error.status !== 422) return told(error);
    byId("quiz-why").textContent = error.message.replace(/^quiz: /, "").replace(/^./, (first) => first.toUpperCase());
    byId("quiz-none").hidden = false;
    byId("quiz").hidden = true;
    return undefined;
  }
}

async function give(answer) {
  if (!asked || answering) return;
  const mine = round;
  enable(false);
  const shown = byId("quiz-picture").src;
  try {
    const told = await api.answer(asked.quiz, answer);
    if (mine !== round) return;
    const right = told.truth === answer;
    byId("quiz-truth").className = `truth ${right ? "right" : "wrong"}`;
    byId("quiz-truth").textContent = `${right ? "Right" : "Wrong"}: it was ${WORDS[told.truth]}.`;
    byId("quiz-past").prepend(el("li", { class: right ? "right" : "wrong" },
      el("img", { class: "crisp", src: shown, alt: `${WORDS[told.truth]}, you said ${WORDS[answer]}` })));
    while (byId("quiz-past").children.length > MOST_PAST) byId("quiz-past").lastChild.remove();
    score(told);
    if (told.next) ask(told.next);
    else end(asked.real_count);
  } catch (error) {
    if (mine !== round) return;
    told(error);
    enable(true);
  }
}

/** The running score, with the interval in which the share of right answers lies. */
function score({ asked: count, right, interval }) {
  byId("quiz-score").textContent = `${right} of ${count}`;
  const box = byId("quiz-interval");
  box.hidden = !interval || !count;
  if (box.hidden) return;
  const [low, high] = interval.map((share) => 100 * share);
  const track = box.querySelector(".track");
  track.style.setProperty("--low", `${low}%`);
  track.style.setProperty("--high", `${high}%`);
  track.style.setProperty("--share", `${(100 * right) / count}%`);
  const verdict = low > 50 ? "better than guessing" : high < 50 ? "worse than guessing" : "it may still be guessing";
  box.querySelector("p").textContent = `${Math.round((100 * right) / count)} % right, 95 % interval ${Math.round(low)}–${Math.round(high)} %: ${verdict}.`;
}

export function entered() {
  if (!asked) begin();
}

onChange("artifact", () => {
  asked = null;
  round += 1;
  if (tab() === "quiz") begin();
});
for (const [id, answer] of [["quiz-real", "real"], ["quiz-fake", "fake"]]) {
  byId(id).addEventListener("click", (event) => { if (event.detail < 2) give(answer); });
}
byId("quiz-again").addEventListener("click", begin);
byId("quiz-real").parentElement.addEventListener("keydown", (event) => { if (event.repeat && event.key === "Enter") event.preventDefault(); }); // it would click on
document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  const answer = KEYS[key] ?? (event.target.closest('[role="tab"]') ? undefined : ARROWS[key]); // on a tab, arrows go to the next one
  if (tab() !== "quiz" || !answer || event.repeat || typing(event)) return;
  event.preventDefault();
  give(answer);
});
