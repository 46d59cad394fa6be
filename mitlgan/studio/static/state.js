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

const NO_PICTURE = "This link is damaged: it holds no picture.";
const LARGE_SEED = `This link has a seed above ${Number.MAX_SAFE_INTEGER}, and a browser counts exactly only up to there; open its picture as a saved file, or make it with \`mitlgan sample --seed\`.`;
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The state of a link's text, or why it holds none. */
function decoded(text) {
  let large = false;
  try {
    const state = JSON.parse(text, (key, value) => {
      large ||= key === "seed" && Number.isInteger(value) && !Number.isSafeInteger(value); // it was rounded: another picture
      return value;
    });
    if (!isObject(state) || typeof state.artifact !== "string" || !Object.values(state.latents ?? {}).every(isObject)) return { state: null, broken: NO_PICTURE };
    return large ? { state: null, broken: LARGE_SEED } : { state, broken: null };
  } catch {
    return { state: null, broken: NO_PICTURE };
  }
}

/** What the page's own address says: a tab, the state of a picture, and in `broken` why it holds none. */
export function address() {
  const said = new URLSearchParams(location.hash.slice(1));
  return { tab: said.get("tab"), ...(said.has("s") ? decoded(said.get("s")) : { state: null, broken: null }) };
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
