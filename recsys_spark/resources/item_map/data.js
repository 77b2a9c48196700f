"use strict";

// The page's data as arrays with one entry an item, the most played items first.

const DATA = JSON.parse(document.getElementById("data").textContent);
const ITEMS = DATA.items;
const GROUPS = DATA.groups;
const COUNT = ITEMS.id.length;
const X = Float32Array.from(ITEMS.x);
const Y = Float32Array.from(ITEMS.y);
const PLACE_OF_ID = new Map(ITEMS.id.map((id, place) => [id, place]));

// Colours of the largest groups, which readers can tell apart. All other groups share one colour.
const COLOURS = ["#1f77b4", "#f08c00", "#2b9348", "#d62839", "#7b4fc9", "#12b5cb", "#f06292", "#6d4c41"];
const NO_COLOUR = "#8b929a";

// Relative size of each dot: its area grows with the number of users.
const SIZE = Float32Array.from(ITEMS.users, (users) => 0.32 + 1.5 * Math.sqrt(users / Math.max(1, ITEMS.users[0])));

function colourOf(group) {
  return GROUPS.names[group] === "other" || group >= COLOURS.length ? NO_COLOUR : COLOURS[group];
}

function groupNames(item) {
  return ITEMS.groups[item].map((group) => GROUPS.names[group]).join(", ");
}

function usersOf(item) {
  const users = ITEMS.users[item];
  return `${users.toLocaleString("en")} ${users === 1 ? "user" : "users"}`;
}

// Text in lower case without accents, so that "amelie" finds "Amélie".
function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

// Index of items by square of a grid, to find those near the pointer without a scan of all items.
class Grid {
  constructor(squares) {
    this.squares = squares;
    this.side = 65536 / squares;
    this.starts = new Int32Array(squares * squares + 1);
    for (let item = 0; item < COUNT; item++) this.starts[this.square(X[item], Y[item]) + 1]++;
    for (let square = 0; square < squares * squares; square++) this.starts[square + 1] += this.starts[square];
    this.items = new Int32Array(COUNT);
    const next = this.starts.slice();
    for (let item = 0; item < COUNT; item++) this.items[next[this.square(X[item], Y[item])]++] = item;
  }

  column(value) {
    return Math.min(this.squares - 1, Math.max(0, Math.floor(value / this.side)));
  }

  square(x, y) {
    return this.column(y) * this.squares + this.column(x);
  }

  // Calls visit(item) for every item within reach of a point, and for some that are farther away.
  around(x, y, reach, visit) {
    for (let row = this.column(y - reach); row <= this.column(y + reach); row++) {
      const first = this.starts[row * this.squares + this.column(x - reach)];
      const last = this.starts[row * this.squares + this.column(x + reach) + 1];
      for (let number = first; number < last; number++) visit(this.items[number]);
    }
  }
}

const GRID = new Grid(Math.max(1, Math.min(128, Math.ceil(Math.sqrt(COUNT / 4)))));
