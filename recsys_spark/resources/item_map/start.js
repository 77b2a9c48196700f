// State in the address: #item=ID pins an item, #group=NAME (repeatable) filters, #search=TEXT searches. A link opens
// the map in that state. All changes of the state go through this file.

let arrival = "open";

function readHash() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const groups = parameters.getAll("group").map((name) => GROUPS.names.indexOf(name));
  return {
    item: PLACE_OF_ID.get(parameters.get("item")) ?? -1,
    groups: new Set(groups.filter((group) => group >= 0)),
    search: parameters.get("search"),
  };
}

function writeHash(changes) {
  const parameters = new URLSearchParams(location.hash.slice(1));
  parameters.delete("search");
  for (const [key, values] of Object.entries(changes)) {
    parameters.delete(key);
    for (const value of values) parameters.append(key, value);
  }
  const hash = `#${parameters}`;
  if (hash !== (location.hash || "#")) location.hash = hash;
}

// Pins an item, or none for -1. `how` moves the view: "stay" does not move it, "reveal" moves it if the item is off the
// screen, "frame" fits the item and its neighbours.
function choose(item, how) {
  arrival = how;
  if (item === state.pinned) arrive(item);
  else writeHash({ item: item < 0 ? [] : [ITEMS.id[item]] });
}

function arrive(item) {
  const isOpening = arrival === "open";
  if (item >= 0 && (isOpening || arrival === "frame")) {
    flyTo(frameOf([item, ...ITEMS.near[item]], 90, view.fitted * 12), isOpening || still.matches);
  } else if (item >= 0 && arrival === "reveal" && !isOnScreen(item)) {
    flyTo({ x: X[item], y: Y[item], scale: view.scale });
  }
  arrival = "reveal";
}

function followHash() {
  const parameters = readHash();
  const isNew = parameters.item !== state.pinned;
  state.pinned = parameters.item;
  state.filter = parameters.groups;
  if (isNew) showPinned();
  showLegend();
  if (parameters.search !== null) {
    field.value = parameters.search;
    showFound();
  }
  if (isNew) arrive(state.pinned);
  redraw();
}

function resize() {
  const wasWhole = Math.abs(view.scale / view.fitted - 1) < 1e-6;
  measure();
  const whole = wholeMap();
  if (wasWhole) Object.assign(view, whole);
  redraw();
}

function start() {
  readTheme();
  measure();
  Object.assign(view, wholeMap());
  listenToView();
  listenToSearch();
  listenToList();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readTheme();
    redraw();
  });
  window.addEventListener("resize", resize);
  window.addEventListener("hashchange", followHash);
  followHash();
}

start();
