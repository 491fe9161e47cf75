// The text with its shades and lines, the lists beside it, and the address that keeps what is chosen.

const FAINT = 0.1; // probability that has the full shade where all are lower

const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1" : (100 * share).toFixed(1)) + " %";

function choose(change) {
  if ("item" in change) Object.assign(change, { answer: 0, word: null, graph: "all" });
  if ("answer" in change) change.word = null;
  Object.assign(state, change);
  if ("item" in change) drawItem();
  drawAll();
  writeAddress();
}

// --- Text -------------------------------------------------------------------------------------------------------------

function drawItem() {
  const { question, note, words, spaces, graphs: given } = item();
  byId("question").textContent = question;
  byId("note").textContent = note;
  const box = byId("words");
  box.replaceChildren();
  // The likeliest word has the full shade, unless none is likely.
  const [mostStarts, mostEnds] = [item().starts, item().ends].map((shares) => shares.reduce((most, share) => Math.max(most, share), FAINT));
  words.forEach((word, place) => {
    if (isSpace(place)) return box.append(...(word.includes("\n") ? [make("br")] : [" "]));
    box.append(wordNode(place, item().starts[place] / mostStarts, item().ends[place] / mostEnds));
    if (spaces[place]) box.append(" ");
  });
  box.append(make("svg:svg", { id: "arcs", "aria-hidden": "true" }));
  byId("graph").replaceChildren(make("option", { value: "all" }, "mean of all"), ...given.map(({ label }, at) => make("option", { value: at }, label)));
  byId("graph-field").hidden = !given.length;
}

function wordNode(place, starts, ends) {
  const label = `${item().words[place]}: begins the answer ${percent(item().starts[place])}, ends it ${percent(item().ends[place])}`;
  const node = make("span", { class: "word", "data-word": place, tabindex: 0, role: "button", "aria-label": label }, item().words[place]);
  node.style.setProperty("--starts", starts.toFixed(3));
  node.style.setProperty("--ends", ends.toFixed(3));
  return node;
}

const nodeOf = (place) => byId("words").querySelector(`[data-word="${place}"]`);

function drawAll() {
  showChoice(state.item);
  chooseOption(byId("graph"), state.graph);
  byId("words").className = `words ${state.view}`;
  byId("views").querySelectorAll("button").forEach((button, index) => button.setAttribute("aria-pressed", String(VIEWS[index] === state.view)));
  const answer = item().answers[state.answer];
  byId("words").querySelectorAll(".word").forEach((node) => {
    const place = Number(node.dataset.word);
    node.classList.toggle("answer", Boolean(answer) && place >= answer[0] && place < answer[1]);
    node.classList.toggle("chosen", place === state.word);
  });
  byId("count").textContent = `${item().words.filter((word) => word.trim()).length.toLocaleString("en")} words`;
  drawLegend();
  drawAnswers();
  drawRelations();
  drawArcs();
}

function drawLegend() {
  const entries = [["begin", "begins here"], ["end", "ends here"]];
  if (item().graphs.length) entries.push(["in", "the answer takes it in"], ["out", "it takes the answer in"]);
  byId("legend").replaceChildren(...entries.map(([kind, label]) => make("li", {}, make("i", { class: kind }), label)));
}

// --- Lines ------------------------------------------------------------------------------------------------------------

// From word to word, over the text; of several rows each line bends upwards from its higher end.
function drawArcs() {
  const box = byId("words").getBoundingClientRect();
  const span = focus();
  const edges = span && item().graphs.length ? ["in", "out"].flatMap((kind) => relationsOf(span, kind === "in").map((edge) => ({ ...edge, kind }))) : [];
  const strongest = edges.reduce((most, edge) => Math.max(most, edge.weight), 0);
  byId("arcs").replaceChildren(...edges.map((edge) => arc(edge, box, strongest)));
}

function arc({ receiver, source, weight, kind }, box, strongest) {
  const [x1, y1, x2, y2] = [source, receiver].flatMap((place) => {
    const { left, width, top } = nodeOf(place).getBoundingClientRect();
    return [left + width / 2 - box.left, top - box.top + 3];
  });
  const bend = Math.min(y1, y2) - 14 - Math.min(46, Math.abs(x1 - x2) / 6);
  const path = `M ${x1.toFixed(1)} ${y1.toFixed(1)} Q ${((x1 + x2) / 2).toFixed(1)} ${bend.toFixed(1)} ${x2.toFixed(1)} ${y2.toFixed(1)}`;
  return make("svg:path", { class: kind, d: path, "stroke-width": (0.6 + (3 * weight) / strongest).toFixed(2) });
}

// --- Lists ------------------------------------------------------------------------------------------------------------

function row(label, share, value, kind = "") {
  const bar = make("i");
  bar.style.width = Math.max(2, 100 * share) + "%";
  return make("li", { class: kind }, label, make("span", { class: "bar" }, bar), make("span", { class: "number" }, value));
}

function drawAnswers() {
  const list = make("ol");
  item().answers.forEach(([start, end, score], at) => {
    const button = make("button", { type: "button", "aria-pressed": String(at === state.answer) }, textOf({ start, end }));
    button.addEventListener("click", () => choose({ answer: at }));
    list.append(row(button, score / (item().answers[0][2] || 1), percent(score)));
  });
  const found = item().answers.length ? list : make("p", { class: "empty" }, "No answer was found.");
  byId("answers").replaceChildren(make("h2", {}, item().answers.length > 1 ? "Answers" : "Answer"), found);
}

function drawRelations() {
  const span = focus();
  const box = byId("relations");
  if (!span || !item().graphs.length) return box.replaceChildren();
  const [incoming, outgoing, mixture] = [relationsOf(span, true), relationsOf(span, false), mixtureOf(span)];
  const strongest = Math.max(incoming[0]?.weight ?? 0, outgoing[0]?.weight ?? 0) || 1;
  const several = span.end - span.start > 1;
  const pair = ({ receiver, source }) => make("span", {}, several ? `${item().words[receiver]} ← ${item().words[source]}` : item().words[isWithin(span, receiver) ? source : receiver]);
  const relations = (edges, kind) => edges.map((edge) => row(pair(edge), edge.weight / strongest, edge.weight.toPrecision(2), kind));
  box.replaceChildren(
    make("h2", {}, `“${textOf(span)}”`),
    ...listed("takes in", relations(incoming, "in"), "no other word."),
    ...listed("is taken in by", relations(outgoing, "out"), "no other word."),
    ...(mixture.length ? listed("Graphs behind it", mixture.map(({ label, share }) => row(make("span", {}, label), share / (mixture[0].share || 1), percent(share), "graph"))) : []),
  );
}

function listed(heading, rows, whenEmpty) {
  const list = make("ol");
  list.append(...rows);
  return [make("h3", {}, heading), rows.length ? list : make("p", { class: "empty" }, whenEmpty)];
}

// --- Pointer, keyboard, theme, address --------------------------------------------------------------------------------

const wordAt = (event) => event.target.closest?.(".word");

function toggle(node) {
  const place = Number(node.dataset.word);
  choose({ word: place === state.word ? null : place });
}

function onKey(event) {
  const node = wordAt(event);
  if (node && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); return toggle(node); }
  if (event.key === "Escape") return choose({ word: null });
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (state.word === null || !step) return;
  let next = state.word + step;
  while (next in item().words && isSpace(next)) next += step;
  if (next in item().words) choose({ word: next });
}

function listen() {
  const box = byId("words");
  box.addEventListener("click", (event) => wordAt(event) && toggle(wordAt(event)));
  box.addEventListener("pointerover", (event) => (wordAt(event) ? showTip(event, wordAt(event).getAttribute("aria-label")) : hideTip()));
  box.addEventListener("pointerleave", hideTip);
  byId("graph").addEventListener("change", (event) => choose({ graph: event.target.value }));
  addEventListener("keydown", onKey);
  addEventListener("resize", drawArcs);
  addEventListener("hashchange", () => { readAddress(); drawItem(); drawAll(); });
  byId("theme").addEventListener("click", () => { setTheme(isDark() ? "light" : "dark"); writeAddress(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(state.theme));
}

function setTheme(theme) {
  state.theme = theme;
  showTheme(theme);
}

// #text=2&answer=2&word=5&graph=1&view=starts&theme=dark : each part may be left out; all count from 1.
function readAddress() {
  const given = readParts();
  state.item = (numberPart(given, "text", 1, DATA.items.length) ?? 1) - 1;
  state.answer = (numberPart(given, "answer", 1, item().answers.length) ?? 1) - 1;
  const word = (numberPart(given, "word", 1, item().words.length) ?? 0) - 1;
  state.word = word < 0 || isSpace(word) ? null : word;
  const graph = numberPart(given, "graph", 1, item().graphs.length);
  state.graph = graph === null ? "all" : String(graph - 1);
  state.view = knownPart(given, "view", VIEWS) ?? VIEWS[0];
  setTheme(knownPart(given, "theme", ["light", "dark"]) ?? state.theme);
}

function writeAddress() {
  writeParts({
    text: state.item ? state.item + 1 : null,
    answer: state.answer ? state.answer + 1 : null,
    word: state.word === null ? null : state.word + 1,
    graph: state.graph === "all" ? null : Number(state.graph) + 1,
    view: state.view === VIEWS[0] ? null : state.view,
    theme: state.theme,
  });
}

byId("title").textContent = DATA.title;
byId("subtitle").textContent = DATA.subtitle;
listChoices(DATA.items.map(({ name }) => name), (chosen) => choose({ item: chosen }));
byId("views").append(...VIEWS.map((view) => {
  const button = make("button", { type: "button" }, { both: "begin and end", starts: "begin", ends: "end" }[view]);
  button.addEventListener("click", () => choose({ view }));
  return button;
}));
readAddress();
listen();
drawItem();
drawAll();
