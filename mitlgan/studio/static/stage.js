// The large picture: the frontmost layer is dragged on it by mouse, finger or keys, scaled by wheel or pinch, mirrored by F.

import { byId, typing } from "./dom.js";

const SMALLEST = 0.2;
const LARGEST = 2;
const FARTHEST = 1.5;
const WHEEL = 0.0012;
const SETTLED_MS = 350;

export const within = (value, low, high) => Math.min(high, Math.max(low, value));
export const limited = (stand) => ({
  scale: round(within(stand.scale, SMALLEST, LARGEST)),
  across: round(within(stand.across, -FARTHEST, FARTHEST)),
  down: round(within(stand.down, -FARTHEST, FARTHEST)),
  flip: stand.flip,
});
const round = (value) => Math.round(value * 1e4) / 1e4;

/**
 * Let the stage move a layer.
 *
 * @param {{stand: () => object | null, size: () => number, moved: (stand: object, settled: boolean) => void}} of
 *   Where the layer stands (null: it cannot be moved), pixels of the picture's side, and what to do with a new place.
 */
export function movable({ stand, size, moved }) {
  const stage = byId("stage");
  const fingers = new Map();
  let begun = null;
  let settling = null;

  const spread = () => {
    const [a, b] = [...fingers.values()];
    return { across: (a.x + (b?.x ?? a.x)) / 2, down: (a.y + (b?.y ?? a.y)) / 2, apart: b ? Math.hypot(a.x - b.x, a.y - b.y) : 0 };
  };
  const begin = () => { begun = { from: spread(), stand: stand() }; };
  const later = (place) => {
    moved(place, false);
    clearTimeout(settling);
    settling = setTimeout(() => moved(stand(), true), SETTLED_MS);
  };

  stage.addEventListener("pointerdown", (event) => {
    if (!stand() || event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    stage.classList.add("moving");
    begin();
  });
  stage.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const now = spread();
    const unit = stage.getBoundingClientRect().width / 2; // the picture goes from -1 to 1
    const pinch = begun.from.apart && now.apart ? now.apart / begun.from.apart : 1;
    const { scale, across, down, flip } = begun.stand;
    const place = { scale: scale * pinch, across: across + (now.across - begun.from.across) / unit, down: down + (now.down - begun.from.down) / unit, flip };
    moved(limited(place), false);
  });
  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (fingers.size) {
      begin();
      return;
    }
    stage.classList.remove("moving");
    moved(stand(), true);
  };
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);

  stage.addEventListener("wheel", (event) => {
    const place = stand();
    if (!place) return;
    event.preventDefault();
    later(limited({ ...place, scale: place.scale * Math.exp(-WHEEL * event.deltaY) }));
  }, { passive: false });

  stage.addEventListener("keydown", (event) => {
    const place = stand();
    if (!place || typing(event)) return;
    const step = (2 / size()) * (event.shiftKey ? 4 : 1);
    const next = {
      ArrowLeft: { across: place.across - step }, ArrowRight: { across: place.across + step },
      ArrowUp: { down: place.down - step }, ArrowDown: { down: place.down + step },
      "+": { scale: place.scale * 1.05 }, "=": { scale: place.scale * 1.05 }, "-": { scale: place.scale / 1.05 },
      f: { flip: !place.flip }, F: { flip: !place.flip },
    }[event.key];
    if (!next) return;
    event.preventDefault();
    later(limited({ ...place, ...next }));
  });
}
