// The state of a picture, which is its whole truth: what a link holds and what the server draws.

/** Seeds of the first page anybody sees: the same for all. */
export const FIRST_SEEDS = Array.from({ length: 16 }, (_, index) => index);

const SEEDS = 2 ** 31;

/** So many new seeds. */
export const newSeeds = (count) => Array.from(crypto.getRandomValues(new Uint32Array(count)), (number) => number % SEEDS);

/** The picture of one seed, as the artifact draws it without any wish. */
export function stateOf(artifact, seed) {
  const latents = Object.fromEntries(Object.keys(artifact.latents).map((name) => [name, { seed }]));
  return { artifact: artifact.id, latents, truncation: 1, stand: null, directions: {} };
}

/** The state of a link's text, or null where it holds none. */
function decoded(text) {
  try {
    const state = JSON.parse(text);
    return typeof state === "object" && state !== null && typeof state.artifact === "string" ? state : null;
  } catch {
    return null;
  }
}

/** What the page's own address says: a tab, and the state of a picture. */
export function address() {
  const said = new URLSearchParams(location.hash.slice(1));
  const state = said.has("s") ? decoded(said.get("s")) : null;
  return { tab: said.get("tab"), state, broken: said.has("s") && !state };
}

export function fragment(tab, state) {
  const said = new URLSearchParams();
  if (tab !== "generate") said.set("tab", tab);
  if (state) said.set("s", JSON.stringify(state));
  return `#${said}`;
}

/** Where a file of a picture is downloaded: `picture.png`, `layers.zip` or `layers.ora`; what more it is asked for, such as its size. */
export const fileAddress = (state, file, more = {}) => `api/${file}?${new URLSearchParams({ s: JSON.stringify(state), ...more })}`;
export const pictureAddress = (state, what) => fileAddress(state, "picture.png", { what, metadata: false });

/** One line about a picture: which seeds made its layers. */
export function described(state) {
  return Object.entries(state.latents ?? {})
    .map(([name, given]) => `${name} ${given.seed ?? ("mix" in given ? "mixed" : "by numbers")}`)
    .join(" · ");
}
