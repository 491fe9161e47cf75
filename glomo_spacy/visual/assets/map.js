// What is chosen (map, layer, scope, word, theme), how it changes, and the address that keeps it.

const state = { map: 0, layer: DATA.layer, scope: "all", token: null, hover: null, find: "", theme: null, zoom: 1, shift: [0, 0] };
const picture = byId("map-svg");
let points = []; // one node per token of the map
let places = []; // where they stand, in pixels

const map = () => DATA.maps[state.map];
const scope = () => (map().focus.length > 1 ? state.scope : "all");
const view = () => map().layers[state.layer];
const placement = () => (scope() === "focus" ? view().focus : view().all);
const size = () => [picture.clientWidth || 800, Math.max(380, Math.min(660, 0.8 * (picture.clientWidth || 800)))];

function choose(change) {
  const isOther = "map" in change || "scope" in change;
  if ("map" in change) change.token = null;
  if (isOther) Object.assign(change, { zoom: 1, shift: [0, 0] });
  Object.assign(state, change, { hover: null });
  if (isOther) drawPoints();
  drawAll();
  writeAddress();
}

function drawPoints() {
  points = makePoints(map(), (token) => contextParts(map(), token, token.group === null || !map().focus.length ? 0 : scope() === "focus" ? 3 : 2));
  const onTop = [...points.keys()].sort((a, b) => (map().tokens[a].group === null ? 0 : 1) - (map().tokens[b].group === null ? 0 : 1));
  picture.replaceChildren(make("svg:g", { class: "ties" }), ...onTop.map((index) => points[index]));
}

// Tokens that stand on the map, in the order in which they claim room for their labels.
function shownTokens() {
  const focus = new Set(map().focus);
  const all = scope() === "focus" ? [...focus] : [...points.keys()];
  const rank = (index) => (index === state.token ? 0 : isFound(index) ? 1 : map().tokens[index].group !== null ? 2 : 3);
  return all.sort((a, b) => rank(a) - rank(b) || a - b);
}

const isFound = (index) => state.find !== "" && wordOf(map(), map().tokens[index]).toLowerCase().startsWith(state.find);

function drawAll() {
  const [width, height] = size();
  picture.setAttribute("height", height);
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const order = shownTokens();
  const known = new Map((scope() === "focus" ? map().focus : [...points.keys()]).map((index, place) => [index, place]));
  const toPixels = fit(placement(), width, height);
  const zoomed = ([x, y]) => [width / 2 + (x - width / 2) * state.zoom + state.shift[0], height / 2 + (y - height / 2) * state.zoom + state.shift[1]];
  places = points.map((_, index) => (known.has(index) ? zoomed(toPixels(known.get(index))) : null));
  points.forEach((node, index) => {
    node.classList.toggle("off", !places[index]);
    if (places[index]) node.style.transform = `translate(${places[index][0].toFixed(1)}px, ${places[index][1].toFixed(1)}px)`;
    node.classList.toggle("found", isFound(index));
  });
  placeLabels(points, places, order, state.token, [width, height]);
  drawControls(order.length);
  drawScore();
  highlight();
}

function drawControls(nShown) {
  showChoice(state.map);
  press("layers", state.layer);
  press("scopes", scope() === "focus" ? 1 : 0);
  byId("which").hidden = map().focus.length < 2;
  const found = state.find ? points.filter((node) => node.classList.contains("found")).length : null;
  byId("count").textContent = found === null ? `${nShown.toLocaleString("en")} words` : `${found} found`;
  byId("note").textContent = map().note;
  const entries = map().groups.map((name, group) => make("li", {}, groupMark(group), name));
  if (map().focus.length && scope() === "all") entries.push(make("li", {}, groupMark(null), "other words"));
  byId("legend").replaceChildren(...entries);
}

const press = (id, chosen) => byId(id).querySelectorAll("button").forEach((button, index) => button.setAttribute("aria-pressed", String(index === chosen)));

// How well the senses are kept apart, by nearest neighbours in all dimensions.
function drawScore() {
  const score = view().agreement;
  const box = byId("score");
  box.hidden = !score;
  if (!score) return;
  const [right, all] = score;
  const words = state.layer === 0 && right === 0 ? [`Without its sentence every “${map().name}” is the same: one point for all ${all}.`] : [`The nearest other “${map().name}” has the same sense for `, make("b", {}, `${right} of ${all}`), "."];
  box.replaceChildren(...words);
}

// What follows the pointer: a word under it wins over the one that was kept.
function highlight() {
  const index = state.hover ?? state.token;
  const near = index === null ? [] : view().near[index].filter((other) => places[other]);
  picture.classList.toggle("lit", index !== null);
  points.forEach((node, other) => {
    node.classList.toggle("on", other === index);
    node.classList.toggle("near", near.includes(other));
  });
  if (index !== null) picture.append(...near.map((other) => points[other]), points[index]); // on top of the others
  const ties = near.map((other) => make("svg:line", { x1: places[index][0], y1: places[index][1], x2: places[other][0], y2: places[other][1] }));
  picture.querySelector(".ties").replaceChildren(...(places[index] ? ties : []));
  if (state.token === null) drawSentences(map(), (token) => choose({ token }));
  else drawNeighbours(map(), view(), state.token, (token) => choose({ token }));
}

// --- Pointer and keyboard ---------------------------------------------------------------------------------------------

const tokenAt = (event) => {
  const node = event.target.closest?.(".point");
  return node ? Number(node.dataset.token) : null;
};

function onHover(event) {
  const index = tokenAt(event);
  if (index === state.hover) return;
  state.hover = index;
  highlight();
  if (index === null) hideTip();
  else showTip(event, wholeSentence(map(), map().tokens[index]));
}

function moveBy(factor, [x, y]) {
  const [width, height] = size();
  const zoom = Math.max(1, Math.min(40, state.zoom * factor));
  const ratio = zoom / state.zoom;
  state.shift = [(x - width / 2) * (1 - ratio) + state.shift[0] * ratio, (y - height / 2) * (1 - ratio) + state.shift[1] * ratio];
  if (zoom === 1) state.shift = [0, 0];
  state.zoom = zoom;
  drawStill();
}

// Marks follow the hand at once and glide only from layer to layer.
function drawStill() {
  picture.classList.add("still");
  drawAll();
  requestAnimationFrame(() => requestAnimationFrame(() => picture.classList.remove("still")));
}

const middle = () => size().map((length) => length / 2);
const at = (event) => { const box = picture.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };

function listen() {
  let grip = null;
  let hasMoved = false;
  picture.addEventListener("pointerover", onHover);
  picture.addEventListener("pointerleave", () => { state.hover = null; hideTip(); highlight(); });
  picture.addEventListener("wheel", (event) => { event.preventDefault(); moveBy(Math.exp(-event.deltaY / 400), at(event)); }, { passive: false });
  picture.addEventListener("pointerdown", (event) => { grip = [event.clientX - state.shift[0], event.clientY - state.shift[1]]; hasMoved = false; });
  addEventListener("pointermove", (event) => {
    if (!grip) return;
    const shift = [event.clientX - grip[0], event.clientY - grip[1]];
    if (!hasMoved && Math.hypot(shift[0] - state.shift[0], shift[1] - state.shift[1]) < 4) return;
    hasMoved = true;
    state.shift = shift;
    picture.classList.add("moving");
    drawStill();
  });
  addEventListener("pointerup", () => { grip = null; picture.classList.remove("moving"); });
  picture.addEventListener("click", (event) => { if (!hasMoved) choose({ token: tokenAt(event) === state.token ? null : tokenAt(event) }); });
  byId("closer").addEventListener("click", () => moveBy(1.6, middle()));
  byId("farther").addEventListener("click", () => moveBy(1 / 1.6, middle()));
  byId("whole").addEventListener("click", () => { Object.assign(state, { zoom: 1, shift: [0, 0] }); drawAll(); });
  byId("find").addEventListener("input", (event) => { state.find = event.target.value.trim().toLowerCase(); drawAll(); });
  byId("theme").addEventListener("click", () => { setTheme(isDark() ? "light" : "dark"); writeAddress(); });
  addEventListener("keydown", onKey);
  addEventListener("hashchange", () => { readAddress(); drawPoints(); drawAll(); });
  addEventListener("resize", drawStill);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(state.theme));
}

function onKey(event) {
  if (event.target.id === "find") return;
  if (event.key === "Escape") choose({ token: null });
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const next = state.token === null || !step ? null : state.token + step;
  if (next !== null && map().tokens[next]?.sentence === map().tokens[state.token].sentence) choose({ token: next });
}

// --- Theme and address --------------------------------------------------------------------------------------------------

function setTheme(theme) {
  state.theme = theme;
  showTheme(theme);
}

// #map=2&layer=0&show=focus&word=17&find=act&theme=dark : each part may be left out.
function readAddress() {
  const given = readParts();
  state.map = (numberPart(given, "map", 1, DATA.maps.length) ?? 1) - 1;
  state.layer = numberPart(given, "layer", 0, DATA.layers.length - 1) ?? DATA.layer;
  state.scope = knownPart(given, "show", ["all", "focus"]) ?? "all";
  state.token = numberPart(given, "word", 1, map().tokens.length);
  if (state.token !== null) state.token -= 1;
  state.find = (given.get("find") ?? "").toLowerCase();
  byId("find").value = state.find;
  setTheme(knownPart(given, "theme", ["light", "dark"]) ?? state.theme);
}

function writeAddress() {
  writeParts({
    map: state.map ? state.map + 1 : null,
    layer: state.layer === DATA.layer ? null : state.layer,
    show: scope() === "focus" ? "focus" : null,
    word: state.token === null ? null : state.token + 1,
    find: state.find || null,
    theme: state.theme,
  });
}

function listButtons(id, names, pick) {
  const buttons = names.map((name) => make("button", { type: "button" }, name));
  buttons.forEach((button, index) => button.addEventListener("click", () => pick(index)));
  byId(id).replaceChildren(...buttons);
}

byId("title").textContent = DATA.title;
byId("subtitle").textContent = DATA.subtitle;
listChoices(DATA.maps.map((map) => map.name), (chosen) => choose({ map: chosen }));
listButtons("layers", DATA.layers, (layer) => choose({ layer }));
listButtons("scopes", ["all words", "this word alone"], (which) => choose({ scope: which ? "focus" : "all", token: null }));
readAddress();
listen();
drawPoints();
drawAll();
