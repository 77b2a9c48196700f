// Position and zoom of the view, changed by wheel, pointers and keys.

const canvas = document.getElementById("canvas");
const view = { x: 32768, y: 32768, scale: 0.01, fitted: 0.01, width: 1, height: 1, ratio: 1 };
const DEEPEST = 60;
const CLICK_REACH = 4;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let flight = 0;

const screenX = (x) => (x - view.x) * view.scale + view.width / 2;
const screenY = (y) => (y - view.y) * view.scale + view.height / 2;
const worldX = (x) => (x - view.width / 2) / view.scale + view.x;
const worldY = (y) => (y - view.height / 2) / view.scale + view.y;
const withinZoom = (scale) => Math.min(view.fitted * DEEPEST, Math.max(view.fitted * 0.5, scale));

function measure() {
  const box = canvas.getBoundingClientRect();
  view.width = Math.max(1, box.width);
  view.height = Math.max(1, box.height);
  view.ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(view.width * view.ratio);
  canvas.height = Math.round(view.height * view.ratio);
}

// Returns the view that shows all of these items.
function frameOf(items, margin, deepest) {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const item of items) {
    left = Math.min(left, X[item]);
    right = Math.max(right, X[item]);
    top = Math.min(top, Y[item]);
    bottom = Math.max(bottom, Y[item]);
  }
  const across = (view.width - 2 * margin) / Math.max(1, right - left);
  const down = (view.height - 2 * margin) / Math.max(1, bottom - top);
  const scale = Math.min(deepest, Math.max(1e-4, Math.min(across, down)));
  return { x: (left + right) / 2, y: (top + bottom) / 2, scale };
}

function wholeMap() {
  const margin = Math.min(40, view.width / 10, view.height / 10);
  const frame = frameOf(X.keys(), margin, 1);
  view.fitted = frame.scale;
  return frame;
}

function flyTo(target, isAtOnce = still.matches) {
  cancelAnimationFrame(flight);
  if (isAtOnce) {
    Object.assign(view, { x: target.x, y: target.y, scale: target.scale });
    redraw();
    return;
  }
  const from = { x: view.x, y: view.y, scale: view.scale };
  const began = performance.now();
  const move = (now) => {
    const share = Math.min(1, Math.max(0, (now - began) / 350));
    const eased = share * share * (3 - 2 * share);
    view.x = from.x + (target.x - from.x) * eased;
    view.y = from.y + (target.y - from.y) * eased;
    view.scale = from.scale * (target.scale / from.scale) ** eased;
    redraw();
    if (share < 1) flight = requestAnimationFrame(move);
  };
  flight = requestAnimationFrame(move);
}

function zoomAt(x, y, factor) {
  cancelAnimationFrame(flight);
  const [fixedX, fixedY] = [worldX(x), worldY(y)];
  view.scale = withinZoom(view.scale * factor);
  view.x = fixedX - (x - view.width / 2) / view.scale;
  view.y = fixedY - (y - view.height / 2) / view.scale;
  redraw();
}

function moveBy(x, y) {
  cancelAnimationFrame(flight);
  view.x -= x / view.scale;
  view.y -= y / view.scale;
  redraw();
}

// One pointer drags, two pinch; a pointer that hardly moved clicks.
const pointers = new Map();
let travelled = 0;

function spreadOf([first, second]) {
  return { x: (first.x + second.x) / 2, y: (first.y + second.y) / 2, apart: Math.hypot(first.x - second.x, first.y - second.y) };
}

function pointerPlace(event) {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

function pointerDown(event) {
  if (pointers.size === 0) travelled = 0;
  pointers.set(event.pointerId, pointerPlace(event));
  try {
    canvas.setPointerCapture(event.pointerId);
  } catch {
    // The pointer was released already.
  }
}

function pointerMove(event) {
  const place = pointerPlace(event);
  const before = pointers.get(event.pointerId);
  if (before === undefined) {
    hover(itemAt(place.x, place.y), place);
    return;
  }
  const old = pointers.size === 2 ? spreadOf([...pointers.values()]) : null;
  pointers.set(event.pointerId, place);
  travelled += Math.hypot(place.x - before.x, place.y - before.y);
  if (travelled <= CLICK_REACH) return;
  canvas.classList.add("dragging");
  hover(-1);
  if (old === null) {
    moveBy(place.x - before.x, place.y - before.y);
  } else {
    const spread = spreadOf([...pointers.values()]);
    moveBy(spread.x - old.x, spread.y - old.y);
    zoomAt(spread.x, spread.y, spread.apart / Math.max(1, old.apart));
  }
}

function pointerUp(event) {
  if (!pointers.delete(event.pointerId) || pointers.size > 0) return;
  canvas.classList.remove("dragging");
  if (event.type === "pointerup" && travelled <= CLICK_REACH) {
    const place = pointerPlace(event);
    choose(itemAt(place.x, place.y));
  }
}

function wheel(event) {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 16 : 1;
  const place = pointerPlace(event);
  zoomAt(place.x, place.y, Math.exp(-Math.max(-120, Math.min(120, event.deltaY * lines)) / 400));
}

const KEYS = {
  ArrowLeft: () => moveBy(60, 0),
  ArrowRight: () => moveBy(-60, 0),
  ArrowUp: () => moveBy(0, 60),
  ArrowDown: () => moveBy(0, -60),
  "+": () => zoomAt(view.width / 2, view.height / 2, 1.4),
  "=": () => zoomAt(view.width / 2, view.height / 2, 1.4),
  "-": () => zoomAt(view.width / 2, view.height / 2, 1 / 1.4),
  0: () => flyTo(wholeMap()),
  Escape: () => choose(-1),
};

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
}

function listenToView() {
  canvas.addEventListener("pointerdown", pointerDown);
  canvas.addEventListener("pointermove", pointerMove);
  canvas.addEventListener("pointerup", pointerUp);
  canvas.addEventListener("pointercancel", pointerUp);
  canvas.addEventListener("pointerleave", () => hover(-1));
  canvas.addEventListener("wheel", wheel, { passive: false });
  canvas.addEventListener("keydown", key);
  const buttons = { in: KEYS["+"], out: KEYS["-"], fit: KEYS[0] };
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", buttons[button.dataset.zoom]);
  }
}
