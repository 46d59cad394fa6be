// What the tabs share: the artifacts, the one that is chosen, and the picture that is open in Generate.

/** `artifact` when another is chosen, `picture` when another is open, `open` when a tab wants a state opened in Generate,
 * `refused link` when the server cannot draw what a link holds. */
export const changes = new EventTarget();

export const app = {
  artifacts: [],
  artifact: null,
  /** State of the picture that is open, as the server gave it back. */
  state: null,
};

export const artifactOf = (id) => app.artifacts.find((artifact) => artifact.id === id) ?? null;

export const changed = (what, detail = null) => changes.dispatchEvent(new CustomEvent(what, { detail }));

export const onChange = (what, act) => changes.addEventListener(what, (event) => act(event.detail));
