// The page of the REST API, drawn from its OpenAPI description: what to send, what comes back, and a request that can be tried.

import { byId, el } from "./dom.js";

const MOST_CHARS = 1200;
const explained = new Set();
let schema = null;

const named = (ref) => schema.components.schemas[ref.split("/").at(-1)];

/** A type in words. */
function type(part) {
  if (part.$ref) return part.$ref.split("/").at(-1);
  const choices = part.anyOf ?? part.oneOf;
  if (choices) return choices.map(type).join(" or ");
  if (part.enum) return part.enum.map((value) => JSON.stringify(value)).join(", ");
  if (part.const !== undefined) return JSON.stringify(part.const);
  if (part.type === "array") return part.prefixItems ? `list of (${part.prefixItems.map(type).join(", ")})` : `list of ${type(part.items ?? {})}`;
  if (part.type === "object") return part.additionalProperties && part.additionalProperties !== true ? `object of ${type(part.additionalProperties)}` : "object";
  const limits = [part.minimum !== undefined && `from ${part.minimum}`, part.maximum !== undefined && `to ${part.maximum}`, part.exclusiveMinimum !== undefined && `above ${part.exclusiveMinimum}`].filter(Boolean);
  return [part.type ?? "anything", ...limits].join(" ");
}

/** The fields of a schema, and of those that it names, each once. */
function tables(start) {
  const waiting = [start];
  const seen = new Set();
  const found = [];
  const collect = (part) => {
    if (!part || typeof part !== "object") return;
    if (part.$ref) waiting.push(part.$ref.split("/").at(-1));
    for (const value of Object.values(part)) collect(value);
  };
  while (waiting.length) {
    const name = waiting.shift();
    if (seen.has(name)) continue;
    seen.add(name);
    const own = schema.components.schemas[name];
    collect(own.properties);
    found.push(table(name, own));
  }
  return found;
}

function table(name, own) {
  const rows = Object.entries(own.properties ?? {}).map(([key, part]) =>
    el("tr", {}, el("th", { scope: "row" }, el("code", { text: key })), el("td", { text: type(part) }),
      el("td", { text: own.required?.includes(key) ? "required" : part.default !== undefined ? `default ${JSON.stringify(part.default)}` : "" })));
  const open = !explained.has(name); // what has been explained above is folded
  explained.add(name);
  return el("details", { open }, el("summary", { text: name }), el("div", {},
    el("p", { class: "hint", text: (own.description ?? "").split("\n\nAttributes:")[0] }),
    el("div", { class: "scroll" }, el("table", {}, ...rows))));
}

/** An example of each endpoint's request, of the first artifact. */
function example(path, artifact) {
  const state = { artifact: artifact.id, latents: Object.fromEntries(artifact.layers.map((name, index) => [name, { seed: 7 + index }])) };
  if (path === "api/picture") return { state, want: artifact.layers.length > 1 ? ["output", "layers"] : ["output"] };
  return path === "api/grid" ? { state, vary: { [artifact.layers.at(-1)]: [1, 2, 3, 4] } } : null;
}

const shortened = (value) => JSON.stringify(value, (_, part) => (typeof part === "string" && part.startsWith("data:") ? `${part.slice(0, 40)}…` : part), 2);

function pictures(value, found = []) {
  if (typeof value === "string" && value.startsWith("data:image/")) found.push(value);
  else if (value && typeof value === "object") for (const part of Object.values(value)) pictures(part, found);
  return found;
}

function endpoint(path, method, operation, artifact) { // the path is relative to the studio's own
  const body = example(path, artifact);
  const address = new URL(path, location.href).href;
  const command = body ? `curl ${address} -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'` : `curl ${address}`;
  const output = el("pre", { class: "answer", hidden: true, tabindex: 0, "data-test": `answer-${path.replaceAll("/", "-")}` });
  const strip = el("div", { class: "answers-strip" });
  const attempt = async () => {
    output.hidden = false;
    output.textContent = "…";
    const response = await fetch(path, body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {});
    const answer = await response.json();
    const text = shortened(answer);
    output.textContent = `${response.status} ${response.statusText}\n${text.length > MOST_CHARS ? `${text.slice(0, MOST_CHARS)}\n…` : text}`;
    strip.replaceChildren(...pictures(answer).map((src) => el("img", { class: "crisp", src, alt: "A picture of the answer" })));
  };
  const request = operation.requestBody?.content["application/json"].schema.$ref;
  const result = operation.responses[200]?.content?.["application/json"].schema ?? {};
  const answered = (result.$ref ?? result.items?.$ref)?.split("/").at(-1);
  return el("section", { "data-test": `endpoint-${path.replaceAll("/", "-")}` },
    el("h2", {}, el("span", { class: `method ${method}`, text: method.toUpperCase() }), el("code", { text: path })),
    el("p", { text: operation.description }),
    el("pre", { tabindex: 0, text: command }),
    el("button", { type: "button", class: "primary", "data-test": `try-${path.replaceAll("/", "-")}`, onclick: attempt, text: "Try it" }), output, strip,
    ...(request ? [el("h3", { text: "What is sent" }), ...tables(request.split("/").at(-1))] : []),
    ...(answered ? [el("h3", { text: result.items ? "What comes back: a list of" : "What comes back" }), table(answered, named(answered))] : []));
}

async function begin() {
  const main = byId("docs");
  try {
    const [description, artifacts] = await Promise.all(["api/openapi.json", "api/artifacts"].map(async (path) => {
      const response = await fetch(path);
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.error);
      return answer;
    }));
    schema = description;
    const sections = Object.entries(schema.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => endpoint(path.replace(/^[/]/, ""), method, operation, artifacts[0])));
    main.replaceChildren(el("p", { class: "lead", text: schema.info.description.replaceAll("`", "") }), ...sections);
  } catch (error) {
    main.replaceChildren(el("p", { class: "problem", text: error.message }));
  }
  main.removeAttribute("aria-busy");
}

begin();
