// The arc picture. Along the line of words runs the "main" axis; arcs that look back rise on one side of it, arcs that
// look ahead on the other. A line of words puts the main axis across the page, a column puts it down the page.

const LINE = { gap: 15, widest: 30 }; // space between words; the widest also grows with the type
const COLUMN = { pad: 12, widest: 220 };
const TYPE = { line: [21, 18, 16], column: [15] }; // sizes to try, largest first
const reach = (distance) => 12 + 7.5 * Math.sqrt(distance); // how far an arc swings out, in control-point pixels

const measure = document.createElement("canvas").getContext("2d");
function wordWidths(words, size) {
  measure.font = size + "px " + getComputedStyle(document.body).fontFamily;
  return words.map((word) => Math.max(14, measure.measureText(word).width));
}

const lineLength = (words, size) => wordWidths(words, size).reduce((sum, width) => sum + width + LINE.gap, 0);
const fitsInLine = (words, space) => lineLength(words, TYPE.line.at(-1)) <= space;

// Where words stand: centres along the main axis, half the space they need across it, and whether it runs down the page.
function placeWords(words, layout, space) {
  return layout === "column" ? placeColumn(words) : placeLine(words, space);
}

function placeColumn(words) {
  const size = TYPE.column[0];
  const pitch = words.length > 40 ? 21 : 24;
  const widths = wordWidths(words, size);
  const widest = Math.min(COLUMN.widest, Math.max(40, ...widths));
  return { down: true, size, widths, box: pitch - 2, across: widest / 2 + COLUMN.pad, at: words.map((_, i) => pitch * (i + 0.5)), length: pitch * words.length };
}

function placeLine(words, space) {
  const size = TYPE.line.find((size) => lineLength(words, size) <= 0.8 * space) ?? TYPE.line.at(-1);
  const widths = wordWidths(words, size);
  const total = widths.reduce((sum, width) => sum + width, 0);
  const widest = LINE.widest * (size / 16) ** 3;
  const gap = Math.max(LINE.gap, Math.min(widest, (space - total) / (words.length + 1)));
  let x = gap / 2;
  const at = widths.map((width) => { const centre = x + width / 2; x += width + gap; return centre; });
  return { down: false, size, widths, box: 1.75 * size, across: size + 3, at, length: Math.max(x - gap / 2, 60) };
}

// An arc leaves the source on the side of the receiver and enters the receiver on the side of the source, so that
// arcs in and arcs out of one word never share a port.
function arcShape(place, edge, middle) {
  const looksBack = edge.source < edge.receiver;
  const side = looksBack ? -1 : 1;
  const port = place.down ? 4.5 : 5;
  const toward = Math.sign(edge.receiver - edge.source);
  const from = place.at[edge.source] + toward * port;
  const to = place.at[edge.receiver] - toward * port;
  const base = middle + side * place.across;
  const head = 4.5 + (3.5 * edge.weight) / SCALE;
  const out = base + side * reach(Math.abs(to - from));
  const tip = base + side * head;
  const point = (main, cross) => (place.down ? cross + " " + main : main + " " + cross);
  return {
    line: `M${point(from, base)}C${point(from, out)} ${point(to, out)} ${point(to, tip)}`,
    head: `M${point(to, base)}L${point(to - head * 0.62, tip)}L${point(to + head * 0.62, tip)}Z`,
  };
}

// Thickness is relative to the strongest relation of the graph; the numbers are not.
function drawArc(place, edge, middle, words, strongest) {
  const shape = arcShape(place, edge, middle);
  const tone = direction(edge);
  const share = edge.weight / strongest;
  const arc = make("svg:g", { class: "arc", "data-receiver": edge.receiver, "data-source": edge.source });
  const line = make("svg:path", { class: "line " + tone, d: shape.line, "stroke-width": (0.8 + 5.7 * share).toFixed(2), "stroke-opacity": (0.4 + 0.5 * share).toFixed(2) });
  arc.append(line, make("svg:path", { class: "head " + tone, d: shape.head }), make("svg:path", { class: "hit", d: shape.line }));
  const text = `${words[edge.receiver]} ← ${words[edge.source]}   ${decimals(edge.weight)}`;
  arc.addEventListener("pointermove", (event) => showTip(event, text));
  arc.addEventListener("pointerleave", hideTip);
  return arc;
}

function drawWord(place, index, middle, word) {
  const centre = place.at[index];
  const width = place.down ? 2 * place.across - 8 : place.widths[index] + 12;
  const height = place.box;
  const [x, y] = place.down ? [middle, centre] : [centre, middle];
  const label = make("svg:text", { x, y }, word);
  if (place.down && place.widths[index] > COLUMN.widest) label.setAttribute("textLength", COLUMN.widest), label.setAttribute("lengthAdjust", "spacingAndGlyphs");
  const box = make("svg:rect", { x: x - width / 2, y: y - height / 2, width, height });
  return make("svg:g", { class: "word", "data-word": index, role: "button", tabindex: index ? -1 : 0, "aria-label": word }, box, label);
}

// Draw one text; returns what `highlightWord` needs to put numbers beside words.
function drawArcs(words, edges, layout, space) {
  const picture = byId("arcs-svg");
  const place = placeWords(words, layout, space);
  const swing = (tone) => Math.max(26, ...edges.filter((edge) => direction(edge) === tone)
    .map((edge) => 0.75 * reach(Math.abs(place.at[edge.receiver] - place.at[edge.source])) + 8));
  const before = swing("back") + place.across;
  const strongest = edges.at(-1)?.weight;
  const height = before + place.across + swing("ahead");
  const [w, h] = place.down ? [height, place.length] : [place.length, height];
  const arcs = edges.map((edge) => drawArc(place, edge, before, words, strongest));
  picture.replaceChildren(...arcs, ...words.map((word, index) => drawWord(place, index, before, word)), make("svg:g", { id: "badges", "font-size": 11.5 }));
  for (const [name, value] of Object.entries({ width: w, height: h, viewBox: `0 0 ${w} ${h}`, "font-size": place.size, "data-arcs": arcs.length })) picture.setAttribute(name, value);
  picture.classList.remove("lit");
  return { place, middle: before };
}

// Keep the relations of one word bright, dim the rest, and write each weight beside the other word.
function highlightWord(drawn, edges, word, isPinned) {
  const picture = byId("arcs-svg");
  picture.classList.toggle("lit", word !== null);
  const touches = (edge) => edge.receiver === word || edge.source === word;
  const related = new Set(edges.filter(touches).flatMap((edge) => [edge.receiver, edge.source])).add(word);
  picture.querySelectorAll(".arc").forEach((arc, index) => arc.classList.toggle("on", touches(edges[index])));
  picture.querySelectorAll(".word").forEach((node, index) => {
    node.classList.toggle("on", related.has(index));
    node.classList.toggle("chosen", index === word);
    node.setAttribute("aria-pressed", String(isPinned && index === word));
  });
  byId("badges").replaceChildren(...(word === null ? [] : edges.filter(touches).map((edge) => badge(drawn, edge, word))));
}

function badge({ place, middle }, edge, word) {
  const other = edge.receiver === word ? edge.source : edge.receiver;
  const tone = direction(edge);
  const cross = middle + (tone === "back" ? -1 : 1) * (place.across + (place.down ? 25 : 15));
  const [x, y] = place.down ? [cross, place.at[other]] : [place.at[other], cross];
  return make("svg:g", { class: "badge " + tone },
    make("svg:rect", { x: x - 16, y: y - 8.5, width: 32, height: 17 }),
    make("svg:text", { x, y }, decimals(edge.weight)));
}
