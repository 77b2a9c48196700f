// Search for items by part of their name, by pointer or keyboard.

const field = document.getElementById("search");
const foundList = document.getElementById("found");
const noneFound = document.getElementById("none-found");
const NAMES = ITEMS.name.map(folded);
const MOST_FOUND = 10;
let found = [];
let marked = -1;

// Returns names that begin with the text, then names with a word that does, then other matches; each of them with the
// most played items first.
function search(text) {
  const wanted = folded(text.trim());
  if (wanted === "") return [];
  const ranks = [[], [], []];
  for (let item = 0; item < COUNT && ranks[0].length < MOST_FOUND; item++) {
    const at = NAMES[item].indexOf(wanted);
    if (at < 0) continue;
    const rank = at === 0 ? 0 : NAMES[item].includes(` ${wanted}`) ? 1 : 2;
    if (ranks[rank].length < MOST_FOUND) ranks[rank].push(item);
  }
  return ranks.flat().slice(0, MOST_FOUND);
}

function showFound() {
  found = search(field.value);
  marked = found.length > 0 ? 0 : -1;
  const options = found.map((item, place) => {
    const users = element("small", {}, usersOf(item));
    const option = element("li", { role: "option", id: `found-${place}` }, element("span", {}, ITEMS.name[item]), users);
    // Prevents the field from losing its focus, which would close the list before the click.
    option.addEventListener("pointerdown", (event) => event.preventDefault());
    option.addEventListener("click", () => take(item));
    return option;
  });
  foundList.replaceChildren(...options);
  openFound(found.length > 0);
  noneFound.hidden = found.length > 0 || field.value.trim() === "";
  mark(marked);
}

function openFound(isOpen) {
  foundList.hidden = !isOpen;
  field.setAttribute("aria-expanded", String(isOpen));
}

function mark(place) {
  marked = place;
  [...foundList.children].forEach((option, number) => option.setAttribute("aria-selected", String(number === place)));
  if (place < 0) {
    field.removeAttribute("aria-activedescendant");
  } else {
    field.setAttribute("aria-activedescendant", `found-${place}`);
    foundList.children[place].scrollIntoView({ block: "nearest" });
  }
}

function take(item) {
  field.value = ITEMS.name[item];
  openFound(false);
  choose(item);
}

function searchKey(event) {
  const isOpen = !foundList.hidden;
  if (event.key === "ArrowDown" && !isOpen) showFound();
  else if (event.key === "ArrowDown") mark((marked + 1) % found.length);
  else if (event.key === "ArrowUp" && isOpen) mark((marked - 1 + found.length) % found.length);
  else if (event.key === "Enter" && isOpen && marked >= 0) take(found[marked]);
  else if (event.key === "Escape" && isOpen) openFound(false);
  else return;
  event.preventDefault();
}

function listenToSearch() {
  field.addEventListener("input", showFound);
  field.addEventListener("keydown", searchKey);
  field.addEventListener("blur", () => openFound(false));
}
