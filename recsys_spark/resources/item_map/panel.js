// Panel beside the map. Names are untrusted text, so they are only inserted as text nodes.

const tip = document.getElementById("tip");
const pinnedPanel = document.getElementById("pinned");
const legend = document.getElementById("legend");

function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function button(attributes, act, ...children) {
  const node = element("button", { type: "button", ...attributes }, ...children);
  node.addEventListener("click", act);
  return node;
}

function hover(item, place) {
  canvas.classList.toggle("over", item >= 0);
  if (item >= 0) showTip(item, place);
  else tip.hidden = true;
  if (item === state.hovered) return;
  state.hovered = item;
  redraw();
}

function showTip(item, place) {
  if (item !== state.hovered || tip.hidden) {
    tip.replaceChildren(
      element("b", {}, ITEMS.name[item]),
      element("span", {}, usersOf(item)),
      element("span", {}, groupNames(item)),
    );
    tip.hidden = false;
  }
  const left = place.x + 16 + tip.offsetWidth > view.width ? place.x - 16 - tip.offsetWidth : place.x + 16;
  const top = Math.min(place.y + 14, view.height - tip.offsetHeight - 4);
  tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
}

function showPinned() {
  const item = state.pinned;
  pinnedPanel.hidden = item < 0;
  if (item < 0) {
    pinnedPanel.replaceChildren();
    return;
  }
  const close = button({ "aria-label": "Unpin the item" }, () => choose(-1), "×");
  const near = ITEMS.near[item].map((other, place) => neighbourLine(other, ITEMS.similarity[item][place] / 1000));
  pinnedPanel.replaceChildren(
    element("header", {}, element("h2", {}, ITEMS.name[item]), close),
    element("p", {}, `${usersOf(item)} · ${groupNames(item)}`),
    near.length > 0 ? element("ol", { "aria-label": "Nearest items, the most similar first" }, ...near)
      : element("p", {}, "None of its nearest items is on the map."),
  );
}

function neighbourLine(item, similarity) {
  const bar = element("i", { "aria-hidden": "true" });
  bar.style.width = `calc(${Math.max(0, similarity)} * (100% - .8rem))`;
  const value = element("small", { title: "similarity (cosine)" }, similarity.toFixed(3));
  const line = button({ "data-item": item }, () => choose(item), element("span", {}, ITEMS.name[item]), value, bar);
  line.addEventListener("pointerenter", () => highlight(item));
  line.addEventListener("pointerleave", () => highlight(-1));
  line.addEventListener("focus", () => highlight(item));
  line.addEventListener("blur", () => highlight(-1));
  return element("li", {}, line);
}

// Highlights an item of the panel on the map.
function highlight(item) {
  state.hovered = item;
  redraw();
}

function showLegend() {
  const entries = GROUPS.names.map((name, group) => {
    const swatch = element("i", { "aria-hidden": "true" });
    swatch.style.background = colourOf(group);
    const size = element("small", {}, GROUPS.sizes[group].toLocaleString("en"));
    const pressed = String(state.filter.has(group));
    const entry = button({ "aria-pressed": pressed, "data-group": group }, () => toggleGroup(group), swatch, name, size);
    return element("li", {}, entry);
  });
  const all = button({ id: "all-groups" }, () => writeHash({ group: [] }), "show all");
  all.hidden = state.filter.size === 0;
  const title = element("h2", {}, `Colours: ${GROUPS.title}`);
  legend.replaceChildren(element("header", {}, title, all), element("ul", {}, ...entries));
  legend.classList.toggle("filtered", state.filter.size > 0);
  legend.hidden = false;
}

function toggleGroup(group) {
  const wanted = new Set(state.filter);
  if (!wanted.delete(group)) wanted.add(group);
  writeHash({ group: [...wanted].map((each) => GROUPS.names[each]) });
  legend.querySelector(`[data-group="${group}"]`)?.focus();
}

// Makes the items of the list buttons that show them on the map.
function listenToList() {
  document.querySelectorAll("#list b").forEach((name, item) => {
    name.setAttribute("role", "button");
    name.setAttribute("tabindex", "0");
    name.addEventListener("click", () => choose(item));
    name.addEventListener("keydown", (event) => {
      if (event.key === "Enter") choose(item);
    });
  });
}
