// State in the address: #item=ID pins an item, #group=NAME (repeatable) filters, #search=TEXT searches. A link opens
// the map in that state. All changes of the state go through this file.

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

// Pins an item, or none for -1.
function choose(item) {
  if (item === state.pinned) showNeighbourhood(item);
  else writeHash({ item: item < 0 ? [] : [ITEMS.id[item]] });
}

// Fits an item and its neighbours into the view.
function showNeighbourhood(item, isAtOnce = still.matches) {
  if (item >= 0) flyTo(frameOf([item, ...ITEMS.near[item]], 90, view.fitted * 12), isAtOnce);
}

function followHash(isAtOnce = still.matches) {
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
  if (isNew) showNeighbourhood(state.pinned, isAtOnce);
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
  window.addEventListener("hashchange", () => followHash());
  followHash(true);
}

start();
