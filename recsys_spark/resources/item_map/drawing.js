// Drawing: coloured dots, lines to neighbours, and names that do not overlap.

const pen = canvas.getContext("2d");
const state = { hovered: -1, pinned: -1, filter: new Set() };
const MOST_LABELS = 45;
const MOST_TRIED = 700;
const SMALLEST_ROUND = 1.2;
const LONGEST_LABEL = 30;
// Opacity of dots, and of those that a filter leaves out.
const SHOWN = 0.9;
const LEFT_OUT = 0.15;
const FONT = "12px system-ui, sans-serif";
const widths = new Map();
let theme = {};
let frame = 0;

function redraw() {
  if (frame === 0) frame = requestAnimationFrame(draw);
}

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  theme = { ground: colour("ground"), ink: colour("ink"), accent: colour("accent") };
}

// Radius of a dot of size 1, in pixels: smaller for more items, and growing with the zoom, but more slowly.
function dotUnit() {
  const room = Math.sqrt((view.width * view.height) / COUNT);
  const unit = Math.min(5.5, Math.max(1.3, room * 0.36));
  return unit * Math.min(2.1, Math.max(0.7, (view.scale / view.fitted) ** 0.45));
}

function shownGroup(item) {
  if (state.filter.size === 0) return ITEMS.groups[item][0];
  return ITEMS.groups[item].find((group) => state.filter.has(group)) ?? -1;
}

function visibleItems(unit) {
  const found = [];
  for (let item = 0; item < COUNT; item++) {
    const [x, y, radius] = [screenX(X[item]), screenY(Y[item]), SIZE[item] * unit];
    if (x > -radius && y > -radius && x < view.width + radius && y < view.height + radius) found.push(item);
  }
  return found;
}

function draw() {
  frame = 0;
  const unit = dotUnit();
  const items = visibleItems(unit);
  pen.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  pen.fillStyle = theme.ground;
  pen.fillRect(0, 0, view.width, view.height);
  drawDots(items, unit);
  const taken = [];
  for (const item of new Set([state.pinned, state.hovered])) {
    if (item >= 0) drawNeighbourhood(item, unit, taken);
  }
  drawLabels(items, unit, taken);
}

// Draws the items that a filter leaves out first: the same dots, but pale.
function drawDots(items, unit) {
  pen.strokeStyle = theme.ground;
  pen.lineWidth = 0.8;
  pen.globalAlpha = LEFT_OUT;
  drawGroups(items.filter((item) => shownGroup(item) < 0), unit, (item) => ITEMS.groups[item][0]);
  pen.globalAlpha = SHOWN;
  drawGroups(items.filter((item) => shownGroup(item) >= 0), unit, shownGroup);
  pen.globalAlpha = 1;
}

// Draws dots from large to small in the colours of their groups. The smallest dots are squares, drawn colour by colour:
// there may be many thousands of them, and a change of colour costs more than a square.
function drawGroups(items, unit, groupOf) {
  const smallest = new Map();
  for (const item of items) {
    const group = groupOf(item);
    if (SIZE[item] * unit < SMALLEST_ROUND) {
      if (!smallest.has(group)) smallest.set(group, []);
      smallest.get(group).push(item);
    } else {
      pen.fillStyle = colourOf(group);
      drawRound(item, unit);
    }
  }
  for (const [group, few] of smallest) drawSquares(few, unit, colourOf(group));
}

function drawRound(item, unit) {
  pen.beginPath();
  pen.arc(screenX(X[item]), screenY(Y[item]), SIZE[item] * unit, 0, 2 * Math.PI);
  pen.fill();
  if (unit > 1.6) pen.stroke();
}

function drawSquares(items, unit, colour) {
  pen.fillStyle = colour;
  for (const item of items) {
    const radius = SIZE[item] * unit * 0.9;
    pen.fillRect(screenX(X[item]) - radius, screenY(Y[item]) - radius, 2 * radius, 2 * radius);
  }
}

function drawNeighbourhood(item, unit, taken) {
  const [x, y] = [screenX(X[item]), screenY(Y[item])];
  pen.strokeStyle = theme.ink;
  ITEMS.near[item].forEach((other, place) => {
    pen.globalAlpha = Math.max(0.15, Math.min(0.9, ITEMS.similarity[item][place] / 1000)) * 0.8;
    pen.lineWidth = 1.2;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(screenX(X[other]), screenY(Y[other]));
    pen.stroke();
  });
  pen.globalAlpha = 1;
  for (const other of ITEMS.near[item]) ring(other, unit, 1.5, theme.ink);
  ring(item, unit, 3, theme.accent);
  drawLabel(item, unit, taken, true);
  for (const other of ITEMS.near[item]) drawLabel(other, unit, taken, false);
}

function ring(item, unit, width, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  pen.arc(screenX(X[item]), screenY(Y[item]), SIZE[item] * unit + width / 2, 0, 2 * Math.PI);
  pen.stroke();
}

function drawLabels(items, unit, taken) {
  let tried = 0;
  // Other names are paler while the names of a neighbourhood are shown.
  pen.globalAlpha = taken.length > 0 ? 0.55 : 1;
  for (const item of items) {
    if (taken.length >= MOST_LABELS || tried >= MOST_TRIED) break;
    if (shownGroup(item) < 0) continue;
    tried++;
    drawLabel(item, unit, taken, false);
  }
  pen.globalAlpha = 1;
}

function labelOf(item) {
  const letters = Array.from(ITEMS.name[item]);
  return letters.length > LONGEST_LABEL ? `${letters.slice(0, LONGEST_LABEL - 1).join("")}…` : letters.join("");
}

function widthOf(item, text) {
  if (!widths.has(item)) widths.set(item, pen.measureText(text).width);
  return widths.get(item);
}

// Draws a name right of its dot, left of it, below or above, whichever is free. If none is free, the name is left out
// unless `always` is set.
function drawLabel(item, unit, taken, always) {
  if (taken.some((box) => box.item === item)) return;
  pen.font = FONT;
  const text = labelOf(item);
  const width = widthOf(item, text);
  const [x, y, away] = [screenX(X[item]), screenY(Y[item]), SIZE[item] * unit + 3];
  const places = [[x + away, y], [x - away - width, y], [x - width / 2, y + away + 6], [x - width / 2, y - away - 6]];
  const boxes = places.map(([left, middle]) => ({ item, left, right: left + width, top: middle - 8, bottom: middle + 8 }));
  const box = boxes.find((each) => isFree(each, taken)) ?? (always ? boxes[0] : null);
  if (box === null) return;
  taken.push(box);
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 3.5;
  pen.strokeStyle = theme.ground;
  pen.strokeText(text, box.left, box.top + 8);
  pen.fillStyle = theme.ink;
  pen.fillText(text, box.left, box.top + 8);
}

function isFree(box, taken) {
  if (box.left < 2 || box.right > view.width - 2 || box.top < 2 || box.bottom > view.height - 2) return false;
  return !taken.some(
    (other) => box.left < other.right + 4 && other.left < box.right + 4 && box.top < other.bottom && other.top < box.bottom,
  );
}

// Returns the item whose dot is nearest to a point of the screen, or -1 if none is within reach.
function itemAt(x, y) {
  const unit = dotUnit();
  const reach = (SIZE[0] * unit + 6) / view.scale;
  let [best, shortest] = [-1, 6];
  GRID.around(worldX(x), worldY(y), reach, (item) => {
    const distance = Math.hypot(screenX(X[item]) - x, screenY(Y[item]) - y) - SIZE[item] * unit;
    // Where dots overlap, the smaller one is on top.
    const within = Math.max(distance, 0) + SIZE[item] / 1000;
    if (within < shortest && shownGroup(item) >= 0) [best, shortest] = [item, within];
  });
  return best;
}
