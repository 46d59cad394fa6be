// The hole of a picture, painted by mouse, finger, pen or keys; each stroke can be undone.

import { byId, showSlider, typing } from "./dom.js";

const MOST_UNDONE = 50;
const PAINT = [255, 92, 40, 205];

/**
 * A hole on the easel.
 *
 * @param {() => void} changed Called after each stroke, undo and clearing.
 */
export function painter(changed) {
  const easel = byId("easel");
  const canvas = byId("easel-hole");
  const ring = byId("brush");
  let width = 0;
  let height = 0;
  let hole = new Uint8Array();
  let before = [];
  let last = null;
  let cursor = null;

  const radius = () => byId("brush-size").valueAsNumber / 2;

  function show() {
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    hole.forEach((painted, index) => { if (painted) image.data.set(PAINT, 4 * index); });
    context.putImageData(image, 0, 0);
    byId("hole-undo").disabled = !before.length;
    byId("hole-clear").disabled = !hole.some(Boolean);
  }

  /** Paint every pixel whose middle lies under the brush. */
  function dab({ x, y }) {
    const reach = radius();
    for (let row = Math.max(0, Math.floor(y - reach)); row <= Math.min(height - 1, y + reach); row += 1) {
      for (let column = Math.max(0, Math.floor(x - reach)); column <= Math.min(width - 1, x + reach); column += 1) {
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= reach || (Math.floor(x) === column && Math.floor(y) === row)) hole[row * width + column] = 1;
      }
    }
  }

  function line(from, to) {
    const steps = Math.ceil(2 * Math.hypot(to.x - from.x, to.y - from.y)) || 1;
    for (let step = 0; step <= steps; step += 1) dab({ x: from.x + ((to.x - from.x) * step) / steps, y: from.y + ((to.y - from.y) * step) / steps });
  }

  function keepForUndo() {
    before.push(hole.slice());
    if (before.length > MOST_UNDONE) before.shift();
  }

  function moveRing(point) {
    ring.hidden = !width;
    ring.style.setProperty("left", `${(100 * point.x) / width}%`);
    ring.style.setProperty("top", `${(100 * point.y) / height}%`);
    ring.style.setProperty("width", `${(200 * radius()) / width}%`);
    ring.style.setProperty("height", `${(200 * radius()) / height}%`);
  }

  const at = (event) => {
    const box = easel.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * width, y: ((event.clientY - box.top) / box.height) * height };
  };

  easel.addEventListener("pointerdown", (event) => {
    if (!width || event.button !== 0 || last) return;
    easel.setPointerCapture(event.pointerId);
    keepForUndo();
    last = { ...at(event), id: event.pointerId };
    cursor = last;
    dab(last);
    show();
  });
  easel.addEventListener("pointermove", (event) => {
    if (!width) return;
    moveRing(at(event));
    if (!last || last.id !== event.pointerId) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const next = { ...at(each), id: event.pointerId };
      line(last, next);
      last = next;
    }
    show();
  });
  const lift = (event) => {
    if (last?.id !== event.pointerId) return;
    last = null;
    changed();
  };
  easel.addEventListener("pointerup", lift);
  easel.addEventListener("pointercancel", lift);
  easel.addEventListener("pointerleave", () => { if (!last && document.activeElement !== easel) ring.hidden = true; });
  easel.addEventListener("focus", () => moveRing((cursor ??= { x: width / 2, y: height / 2 })));
  easel.addEventListener("blur", () => { ring.hidden = true; });
  easel.addEventListener("keydown", (event) => {
    if (!width || typing(event)) return;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    cursor ??= { x: width / 2, y: height / 2 };
    if (step) {
      const inside = (value, length) => Math.min(length - 0.5, Math.max(0.5, value));
      const far = Math.max(1, Math.round(Math.max(width, height) / 128));
      cursor = { x: inside(cursor.x + far * step[0], width), y: inside(cursor.y + far * step[1], height) };
    } else if (event.key === " ") {
      keepForUndo();
      dab(cursor);
      show();
      changed();
    } else if (event.key === "[" || event.key === "]") {
      byId("brush-size")[event.key === "]" ? "stepUp" : "stepDown"]();
      showSlider(byId("brush-size"), `${byId("brush-size").value} px`);
    } else return;
    event.preventDefault();
    moveRing(cursor);
  });

  function undo() {
    if (!before.length) return;
    hole = before.pop();
    show();
    changed();
  }

  function clear() {
    keepForUndo();
    hole = new Uint8Array(width * height);
    show();
    changed();
  }

  byId("hole-undo").addEventListener("click", undo);
  byId("hole-clear").addEventListener("click", clear);
  byId("panel-inpaint").addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      undo();
    }
  });
  byId("brush-size").addEventListener("input", () => showSlider(byId("brush-size"), `${byId("brush-size").value} px`));
  showSlider(byId("brush-size"), `${byId("brush-size").value} px`);

  return {
    /** Start again on a picture of so many pixels. */
    begin(across, down) {
      width = canvas.width = across;
      height = canvas.height = down;
      hole = new Uint8Array(width * height);
      before = [];
      cursor = null;
      const longest = Math.max(width, height);
      byId("brush-size").max = Math.max(4, Math.round(longest / 2));
      byId("brush-size").value = Math.max(5, Math.round(longest / 12));
      showSlider(byId("brush-size"), `${byId("brush-size").value} px`);
      show();
      changed();
    },
    empty: () => !hole.some(Boolean),
    /** The hole as a PNG: white is to be filled, black stays. */
    png() {
      const made = document.createElement("canvas");
      made.width = width;
      made.height = height;
      const context = made.getContext("2d");
      const image = context.createImageData(width, height);
      hole.forEach((painted, index) => image.data.set([255 * painted, 255 * painted, 255 * painted, 255], 4 * index));
      context.putImageData(image, 0, 0);
      return made.toDataURL("image/png");
    },
  };
}
