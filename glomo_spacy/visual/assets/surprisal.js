// What is chosen (passage, word, view, theme), how it changes, and the address that keeps it.

const state = { passage: 0, reading: 0, word: null, view: null, theme: null };
const LONGEST_LIST = 12;
const BARS_UP_TO = 150; // words of a passage that begins with bars; a longer one begins with shades
const VIEWS = ["bars", "shades"];

const passage = () => DATA.passages[state.passage];
const view = () => state.view ?? (nWords(passage()) <= BARS_UP_TO ? "bars" : "shades");
const nWords = (item) => item.readings.reduce((sum, reading) => sum + reading.words.length, 0);
const inBits = (bits) => `${bits.toFixed(1)} bits`;

// The scale ends at a round number above the most surprising word of the page; 30 bits and more are one height.
const allBits = DATA.passages.flatMap((item) => item.readings.flatMap((reading) => reading.bits));
const highest = allBits.reduce((most, bits) => Math.max(most, bits), 0);
const most = Math.min(30, Math.max(10, 5 * Math.ceil(highest / 5)));

function choose(change) {
  if ("passage" in change) Object.assign(change, { word: null, reading: 0 });
  Object.assign(state, change);
  if ("passage" in change) drawWords();
  drawAll();
  writeAddress();
}

// --- Words ------------------------------------------------------------------------------------------------------------

function drawWords() {
  byId("readings").replaceChildren(...passage().readings.map(readingNode));
  byId("note").textContent = passage().note;
  drawScore();
}

function readingNode(reading, number) {
  const words = make("div", { class: "words" });
  const ends = new Map(reading.ends);
  reading.words.forEach((word, place) => {
    words.append(wordNode(reading, number, place));
    if (ends.has(place)) words.append(make("span", { class: "end", title: `end of sentence: ${inBits(ends.get(place))}` }, "▪"));
    if (reading.spaces[place]) words.append(" ");
  });
  const size = make("span", {}, ` ${measure(reading)}`);
  return make("div", { class: "reading" }, make("h2", {}, reading.label, size), words);
}

function wordNode(reading, number, place) {
  const kinds = [reading.unknown[place] ? "unknown" : "", reading.focus === place ? "focus" : ""];
  const label = `${reading.words[place]}: ${inBits(reading.bits[place])}`;
  const node = make("span", { class: ["word", ...kinds].filter(Boolean).join(" "), "data-reading": number, "data-word": place, tabindex: 0, role: "button", "aria-label": label }, make("i", { class: "height", "data-bits": reading.bits[place].toFixed(1) }), make("b", {}, reading.words[place]));
  node.style.setProperty("--share", Math.min(1, reading.bits[place] / most).toFixed(3));
  return node;
}

function measure(reading) {
  const n = reading.words.length;
  if (!n) return "no words";
  const mean = reading.total / n;
  return `${inBits(reading.total)}, ${mean.toFixed(1)} per word, perplexity ${Math.round(2 ** mean).toLocaleString("en")}`;
}

// How the readings of a passage differ at the word it is about.
function drawScore() {
  const { readings, focus } = passage();
  if (!focus) return byId("score").replaceChildren();
  const bits = readings.map((reading) => reading.bits[reading.focus]);
  const parts = readings.flatMap((reading, number) => [number ? ", " : "", `${reading.label || "here"} `, make("b", {}, inBits(bits[number]))]);
  const gap = bits[0] - bits[bits.length - 1];
  const verdict = bits.length > 1 ? [": ", make("b", {}, `${gap < 0 ? "−" : "+"}${Math.abs(gap).toFixed(1)}`), "."] : ["."];
  byId("score").replaceChildren("“", make("b", {}, focus), "”: ", ...parts, ...verdict);
}

function drawAll() {
  showChoice(state.passage);
  byId("text").classList.toggle("bars", view() === "bars");
  byId("views").querySelectorAll("button").forEach((button, index) => button.setAttribute("aria-pressed", String(VIEWS[index] === view())));
  byId("count").textContent = `${nWords(passage()).toLocaleString("en")} words`;
  byId("readings").querySelectorAll(".word").forEach((node) => node.classList.toggle("chosen", isChosen(node)));
  if (state.word === null) drawStrongest();
  else drawWord(passage().readings[state.reading], state.word);
}

const isChosen = (node) => Number(node.dataset.word) === state.word && Number(node.dataset.reading) === state.reading;

// --- Detail -----------------------------------------------------------------------------------------------------------

function row(label, share, value, kind = "") {
  const bar = make("i");
  bar.style.width = Math.max(2, 100 * share) + "%";
  return make("li", { class: kind }, label, make("span", { class: "bar" }, bar), make("span", { class: "number" }, value));
}

function drawStrongest() {
  const found = passage().readings.flatMap((reading, number) => reading.words.map((word, place) => ({ word, number, place, bits: reading.bits[place] })));
  const list = make("ol");
  for (const { word, number, place, bits } of found.sort((a, b) => b.bits - a.bits).slice(0, LONGEST_LIST)) {
    const button = make("button", { type: "button" }, word);
    button.addEventListener("click", () => choose({ reading: number, word: place }));
    list.append(row(button, bits / (found[0].bits || 1), bits.toFixed(1)));
  }
  const rest = found.length ? list : make("p", { class: "empty" }, "There are no words here.");
  byId("detail").replaceChildren(make("h2", {}, "Most surprising"), make("p", { class: "hint" }, "Choose a word here or in the text."), rest);
}

function drawWord(reading, place) {
  const bits = reading.bits[place];
  const odds = Math.round(2 ** bits);
  const parts = [make("h2", {}, reading.words[place]), make("p", { class: "bits" }, make("b", {}, inBits(bits)), `: one in ${odds.toLocaleString("en")}.`)];
  if (reading.unknown[place]) parts.push(make("p", { class: "hint" }, "Not in the vocabulary: an unknown word, and how it is spelled."));
  const expected = reading.expected[place] ?? [];
  if (expected.length) {
    const list = make("ol");
    for (const [word, share] of expected) list.append(row(make("span", {}, word), share / expected[0][1], percent(share), word === reading.words[place] ? "self" : ""));
    parts.push(make("h3", {}, "What the model expected here"), list);
  }
  byId("detail").replaceChildren(...parts);
}

const percent = (share) => (share < 0.001 ? "< 0.1" : (100 * share).toFixed(1)) + " %";

// --- Pointer and keyboard ---------------------------------------------------------------------------------------------

const wordAt = (event) => event.target.closest?.(".word");

function toggle(node) {
  const chosen = { reading: Number(node.dataset.reading), word: Number(node.dataset.word) };
  choose(isChosen(node) ? { word: null } : chosen);
}

function listen() {
  const box = byId("readings");
  box.addEventListener("click", (event) => wordAt(event) && toggle(wordAt(event)));
  box.addEventListener("pointerover", (event) => (wordAt(event) ? showTip(event, wordAt(event).getAttribute("aria-label")) : hideTip()));
  box.addEventListener("pointerleave", hideTip);
  addEventListener("keydown", onKey);
  addEventListener("hashchange", () => { readAddress(); drawWords(); drawAll(); });
  byId("theme").addEventListener("click", () => { setTheme(isDark() ? "light" : "dark"); writeAddress(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(state.theme));
}

function onKey(event) {
  const node = wordAt(event);
  if (node && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); return toggle(node); }
  if (event.key === "Escape") return choose({ word: null });
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const next = state.word === null || !step ? null : state.word + step;
  if (next !== null && next in passage().readings[state.reading].words) choose({ word: next });
}

// --- Theme and address ------------------------------------------------------------------------------------------------

function setTheme(theme) {
  state.theme = theme;
  showTheme(theme);
}

// #text=2&reading=2&word=5&view=shades&theme=dark : each part may be left out.
function readAddress() {
  const given = readParts();
  state.passage = (numberPart(given, "text", 1, DATA.passages.length) ?? 1) - 1;
  state.reading = (numberPart(given, "reading", 1, passage().readings.length) ?? 1) - 1;
  state.word = numberPart(given, "word", 1, passage().readings[state.reading].words.length);
  if (state.word !== null) state.word -= 1;
  state.view = knownPart(given, "view", VIEWS);
  setTheme(knownPart(given, "theme", ["light", "dark"]) ?? state.theme);
}

function writeAddress() {
  writeParts({
    text: state.passage ? state.passage + 1 : null,
    reading: state.reading ? state.reading + 1 : null,
    word: state.word === null ? null : state.word + 1,
    view: state.view,
    theme: state.theme,
  });
}

byId("title").textContent = DATA.title;
byId("subtitle").textContent = DATA.subtitle;
byId("most").textContent = inBits(most);
listChoices(DATA.passages.map((item) => item.name), (chosen) => choose({ passage: chosen }));
byId("views").append(...VIEWS.map((name) => {
  const button = make("button", { type: "button" }, name);
  button.addEventListener("click", () => choose({ view: name }));
  return button;
}));
readAddress();
listen();
drawWords();
drawAll();
