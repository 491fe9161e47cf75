// What every page uses: its data, elements by name, the tip that follows the pointer, light and dark.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

// Text always enters as a text node: nothing a word holds can become markup.
function make(tag, attributes = {}, ...children) {
  const svg = tag.startsWith("svg:");
  const node = svg ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A value from the address or from Python need not be among those offered.
function chooseOption(select, value) {
  if (![...select.options].some((option) => option.value === value)) select.prepend(make("option", {}, value));
  select.value = value;
}

function showTip(event, text) {
  const tip = byId("tip");
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 14, innerWidth - width - 8);
  const y = event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18;
  tip.style.left = x + "px";
  tip.style.top = y + "px";
}

const hideTip = () => { byId("tip").hidden = true; };

const isDark = () => document.documentElement.dataset.theme === "dark";

// Null follows the system.
function showTheme(theme) {
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").querySelector("span").textContent = dark ? "Light" : "Dark";
}

// The part of the address after "#": what is null is left out. It lets a view be kept and sent on.
function writeParts(parts) {
  const given = new URLSearchParams(Object.entries(parts).filter(([, value]) => value !== null));
  history.replaceState(null, "", "#" + given);
}

const readParts = () => new URLSearchParams(location.hash.slice(1));

// A whole number of the address within bounds, else null.
function numberPart(given, name, low, high) {
  const value = Number(given.get(name) ?? NaN);
  return Number.isInteger(value) && value >= low && value <= high ? value : null;
}

const knownPart = (given, name, known) => (known.includes(given.get(name)) ? given.get(name) : null);

// The texts one can choose from: buttons, or a menu of many. Nothing if there is only one.
function listChoices(titles, choose) {
  const box = byId("docs");
  const title = (index) => titles[index] || `Text ${index + 1}`;
  box.hidden = titles.length < 2;
  if (titles.length > 8) {
    const select = make("select", { "aria-label": "Text" });
    titles.forEach((_, index) => select.append(make("option", { value: index }, `${index + 1}. ${title(index).slice(0, 110)}`)));
    select.addEventListener("change", () => choose(Number(select.value)));
    box.append(select);
    return;
  }
  titles.forEach((_, index) => {
    const button = make("button", { type: "button", title: title(index) }, title(index));
    button.addEventListener("click", () => choose(index));
    box.append(button);
  });
}

function showChoice(chosen) {
  byId("docs").querySelectorAll("button").forEach((button, index) => button.setAttribute("aria-pressed", String(index === chosen)));
  const select = byId("docs").querySelector("select");
  if (select) select.value = String(chosen);
}
