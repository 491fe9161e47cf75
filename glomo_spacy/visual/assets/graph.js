// What is chosen (text, graph, threshold, word, layout, theme), how it changes, and the address that keeps it.

const state = { doc: 0, graph: 0, threshold: DATA.threshold, sources: DATA.sources, word: null, hover: null, layout: null, theme: null };
let shown = []; // the edges that are drawn as arcs
let drawn = null; // where they are drawn

const words = () => DATA.docs[state.doc].words;
const allEdges = () => edgesOf(state.doc, state.graph);
const candidates = () => strongestSources(allEdges(), state.sources);
const threshold = () => state.threshold ?? calmThreshold(candidates(), words().length);
const inner = (id) => byId(id).clientWidth - 42; // without the card's padding and border

function choose(change) {
  Object.assign(state, change);
  if ("doc" in change) state.word = null;
  if ("doc" in change || "graph" in change) state.threshold = DATA.threshold; // another picture: start calm again
  state.hover = null;
  hideTip();
  drawAll();
  writeAddress();
}

// While the slider moves the address stays: browsers limit how often a page may change it.
function slide(event) {
  state.threshold = Number(event.target.value);
  drawAll();
}

function drawAll() {
  const isWide = state.layout ?? (fitsInLine(words(), byId("page").clientWidth - 42) ? "line" : "column");
  byId("page").dataset.layout = isWide;
  document.querySelectorAll("[data-layout][type]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.layout === isWide)));
  drawControls();
  shown = candidates().filter((edge) => edge.weight >= threshold());
  drawn = drawArcs(words(), shown, isWide, inner("arcs"));
  byId("note").textContent = DATA.docs[state.doc].note;
  byId("count").textContent = `${shown.length.toLocaleString("en")} of ${allEdges().length.toLocaleString("en")} relations`;
  drawRamp();
  drawGallery(state.doc, state.graph, (graph) => choose({ graph }));
  highlight();
}

function drawControls() {
  byId("graph").value = String(state.graph);
  byId("threshold").value = String(threshold());
  chooseOption(byId("sources"), String(state.sources ?? "all"));
  byId("threshold-value").textContent = decimals(threshold());
  showChoice(state.doc);
}

// What follows the pointer or the keyboard: a word under it wins over the one that was kept.
function highlight() {
  const word = state.hover ?? state.word;
  highlightWord(drawn, shown, word, state.hover === null || state.hover === state.word);
  drawDetail(words(), allEdges(), word);
  drawHeat(words(), allEdges(), inner("heat"), word);
}

function listGraphs() {
  const groups = new Map();
  DATA.graphs.forEach((graph, index) => {
    if (!groups.has(graph.group)) groups.set(graph.group, make("optgroup", { label: graph.group }));
    groups.get(graph.group).append(make("option", { value: index }, graph.label));
  });
  byId("graph").append(...groups.values());
}

// --- Pointer and keyboard ---------------------------------------------------------------------------------------------

const wordOf = (event) => event.target.closest?.(".word");

function keep(word) {
  state.word = state.word === word ? null : word;
  state.hover = null;
  highlight();
  writeAddress();
}

function hoverWord(word) {
  if (word === state.hover) return;
  state.hover = word;
  highlight();
}

function focusWord(index) {
  const nodes = byId("arcs-svg").querySelectorAll(".word");
  const node = nodes[Math.max(0, Math.min(nodes.length - 1, index))];
  nodes.forEach((other) => other.setAttribute("tabindex", other === node ? 0 : -1));
  node?.focus();
}

const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };

function onWordKey(event) {
  const node = wordOf(event);
  if (!node) return;
  const index = Number(node.dataset.word);
  if (event.key in MOVES) focusWord(index + MOVES[event.key]);
  else if (event.key === "Enter" || event.key === " ") keep(index);
  else return;
  event.preventDefault();
}

function onHeatMove(event) {
  const cell = cellAt(event);
  drawHeat(words(), allEdges(), inner("heat"), state.word, cell);
  if (cell) showTip(event, `${words()[cell.receiver]} ← ${words()[cell.source]}   ${cell.weight ? decimals(cell.weight) : "below " + decimals(DATA.floor)}`);
  else hideTip();
}

function listen() {
  const picture = byId("arcs-svg");
  picture.addEventListener("pointerover", (event) => hoverWord(wordOf(event) ? Number(wordOf(event).dataset.word) : null));
  picture.addEventListener("pointerleave", () => hoverWord(null));
  picture.addEventListener("focusin", (event) => wordOf(event)?.matches(":focus-visible") && hoverWord(Number(wordOf(event).dataset.word)));
  picture.addEventListener("focusout", () => hoverWord(null));
  picture.addEventListener("click", (event) => wordOf(event) ? keep(Number(wordOf(event).dataset.word)) : keep(null));
  picture.addEventListener("keydown", onWordKey);
  const canvas = byId("heat-canvas");
  canvas.addEventListener("pointermove", onHeatMove);
  canvas.addEventListener("pointerleave", () => { hideTip(); highlight(); });
  canvas.addEventListener("click", (event) => cellAt(event) && keep(cellAt(event).receiver));
  byId("graph").addEventListener("change", (event) => choose({ graph: Number(event.target.value) }));
  byId("sources").addEventListener("change", (event) => choose({ sources: Number(event.target.value) || null }));
  byId("threshold").addEventListener("input", slide);
  byId("threshold").addEventListener("change", writeAddress);
  document.querySelectorAll("[data-layout][type]").forEach((button) => button.addEventListener("click", () => choose({ layout: button.dataset.layout })));
  byId("theme").addEventListener("click", () => { setTheme(isDark() ? "light" : "dark"); drawAll(); writeAddress(); });
  addEventListener("keydown", (event) => event.key === "Escape" && keep(null));
  addEventListener("hashchange", () => { readAddress(); drawAll(); });
  addEventListener("resize", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { setTheme(state.theme); drawAll(); });
}

// --- Theme and address --------------------------------------------------------------------------------------------------

function setTheme(theme) {
  state.theme = theme;
  showTheme(theme);
}

// #text=2&graph=left-1-3&threshold=0.2&sources=all&word=6&layout=column&theme=dark : each part may be left out.
function readAddress() {
  const given = readParts();
  const number = (name, low, high) => numberPart(given, name, low, high);
  const oneOf = (name, known) => knownPart(given, name, known);
  const weight = Math.round(100 * Number(given.get("threshold"))) * 10;
  state.doc = (number("text", 1, DATA.docs.length) ?? 1) - 1;
  state.graph = Math.max(0, DATA.graphs.findIndex((graph) => graph.id === given.get("graph")));
  state.threshold = weight >= 10 && weight <= SCALE ? weight : DATA.threshold;
  state.sources = given.get("sources") === "all" ? null : (number("sources", 1, SCALE) ?? DATA.sources);
  state.word = number("word", 1, words().length);
  if (state.word !== null) state.word -= 1;
  state.layout = oneOf("layout", ["line", "column"]);
  setTheme(oneOf("theme", ["light", "dark"]) ?? state.theme);
}

function writeAddress() {
  writeParts({
    text: state.doc ? state.doc + 1 : null,
    graph: state.graph ? DATA.graphs[state.graph].id : null,
    threshold: state.threshold === DATA.threshold ? null : decimals(state.threshold),
    sources: state.sources === DATA.sources ? null : (state.sources ?? "all"),
    word: state.word === null ? null : state.word + 1,
    layout: state.layout,
    theme: state.theme,
  });
}

byId("title").textContent = DATA.title;
byId("subtitle").textContent = DATA.subtitle;
listChoices(DATA.docs.map((doc) => doc.name || doc.words.join(" ")), (doc) => choose({ doc }));
listGraphs();
readAddress();
listen();
drawAll();
