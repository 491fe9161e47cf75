// The heat map of the chosen graph and small pictures of all graphs. Blue: the source stands before the receiver;
// orange: after it. Colour grows with the square root of the weight, so that small weights remain visible.

const strength = (weight) => Math.sqrt(weight / SCALE);

function colours() {
  const style = getComputedStyle(document.documentElement);
  const parse = (name) => style.getPropertyValue(name).trim().match(/[0-9a-f]{2}/gi).map((hex) => parseInt(hex, 16));
  return { back: parse("--back"), ahead: parse("--ahead"), ground: parse("--wash"), ink: style.getPropertyValue("--ink"), soft: style.getPropertyValue("--soft"), font: getComputedStyle(document.body).fontFamily };
}

const blend = (ground, tone, amount) => ground.map((value, i) => Math.round(value + (tone[i] - value) * amount));

function shorten(context, word, space) {
  if (context.measureText(word).width <= space) return word;
  const letters = Array.from(word);
  while (letters.length > 1 && context.measureText(letters.join("") + "…").width > space) letters.pop();
  return letters.join("") + "…";
}

const heat = { cell: 0, left: 0, top: 0, n: 0, lookup: new Map() };

function drawHeat(words, edges, space, chosen = null, cross = null) {
  const canvas = byId("heat-canvas");
  const n = words.length;
  const label = Math.min(104, 16 + 1.12 * Math.max(0, ...wordWidths(words, 14)));
  const cell = Math.max(3, Math.min(46, Math.floor((Math.min(space, 900) - label) / Math.max(n, 1))));
  const size = Math.ceil(label + n * cell + 2);
  Object.assign(heat, { cell, left: label, top: label, n, lookup: new Map(edges.map((edge) => [edge.receiver * n + edge.source, edge])) });
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(size * ratio);
  canvas.style.width = canvas.style.height = size + "px";
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const paint = colours();
  context.fillStyle = `rgb(${paint.ground})`;
  context.beginPath();
  context.roundRect(label, label, n * cell, n * cell, 4);
  context.fill();
  const seam = cell > 5 ? 1 : 0;
  for (const edge of edges) {
    context.fillStyle = `rgb(${blend(paint.ground, paint[direction(edge)], strength(edge.weight))})`;
    context.fillRect(label + edge.source * cell, label + edge.receiver * cell, cell - seam, cell - seam);
  }
  if (cell >= 7) labelHeat(context, words, cell, label, paint, chosen, cross);
  context.strokeStyle = paint.ink;
  context.lineWidth = 1.25;
  if (chosen !== null) outlineWord(context, chosen, n, cell, label);
  if (cross) context.strokeRect(label + cross.source * cell - 1, label + cross.receiver * cell - 1, cell + 1, cell + 1);
  canvas.setAttribute("aria-label", `Heat map of ${n} receivers by ${n} sources; the list of relations gives the same weights as text`);
}

function labelHeat(context, words, cell, label, paint, chosen, cross) {
  const size = Math.max(8, Math.min(14, cell - 1));
  const write = (index, isOn) => {
    context.font = `${isOn ? "700 " : ""}${size}px ${paint.font}`;
    context.fillStyle = isOn ? paint.ink : paint.soft;
    return shorten(context, words[index], label - 12);
  };
  context.textBaseline = "middle";
  words.forEach((_, index) => {
    const middle = label + (index + 0.5) * cell;
    context.textAlign = "right";
    context.fillText(write(index, index === chosen || cross?.receiver === index), label - 7, middle);
    context.save();
    context.translate(middle, label - 7);
    context.rotate(-Math.PI / 2);
    context.textAlign = "left";
    context.fillText(write(index, index === chosen || cross?.source === index), 0, 0);
    context.restore();
  });
}

// Frame the row of what a word receives and the column of where it is a source.
function outlineWord(context, word, n, cell, label) {
  context.strokeRect(label - 1, label + word * cell - 1, n * cell + 1, cell + 1);
  context.strokeRect(label + word * cell - 1, label - 1, cell + 1, n * cell + 1);
}

// The receiver and source under the pointer, or null beside the cells.
function cellAt(event) {
  const source = Math.floor((event.offsetX - heat.left) / heat.cell);
  const receiver = Math.floor((event.offsetY - heat.top) / heat.cell);
  const isInside = source >= 0 && receiver >= 0 && source < heat.n && receiver < heat.n;
  return isInside ? { receiver, source, weight: heat.lookup.get(receiver * heat.n + source)?.weight ?? 0 } : null;
}

function drawRamp() {
  const paint = colours();
  const ramp = (tone) => {
    const bar = make("i");
    const stops = [0, 0.25, 0.5, 0.75, 1].map((at) => `rgb(${blend(paint.ground, paint[tone], Math.sqrt(at))})`);
    bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    return bar;
  };
  const gap = make("span", { class: "gap" });
  byId("ramp").replaceChildren("looks back 0", ramp("back"), "1", gap, "looks ahead 0", ramp("ahead"), "1");
}

// One pixel for each cell; the style sheet scales it.
function paintThumb(canvas, n, edges, paint) {
  canvas.width = canvas.height = Math.max(n, 1);
  canvas.style.imageRendering = n > 76 ? "auto" : "pixelated"; // a picture that shrinks must not drop rows
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let at = 0; at < n * n; at++) image.data.set([...paint.ground, 255], 4 * at);
  for (const edge of edges)
    image.data.set(blend(paint.ground, paint[direction(edge)], strength(edge.weight)), 4 * (edge.receiver * n + edge.source));
  context.putImageData(image, 0, 0);
}

// A table of pictures: one row for each group of graphs (direction and layer), one column for each head.
function drawGallery(doc, chosen, choose) {
  const box = byId("thumbs");
  const groups = new Map();
  DATA.graphs.forEach((graph, index) => groups.set(graph.group, [...(groups.get(graph.group) ?? []), index]));
  const columns = Math.max(...[...groups.values()].map((members) => members.length));
  box.style.gridTemplateColumns = `max-content repeat(${columns}, max-content)`;
  const paint = colours();
  const n = DATA.docs[doc].words.length;
  const cells = [];
  let isHeaded = false;
  for (const [group, members] of groups) {
    if (members.length > 1 && !isHeaded) {
      cells.push(make("span"), ...members.map((_, head) => make("span", { class: "heading" }, `head ${head + 1}`)));
      for (let rest = members.length; rest < columns; rest++) cells.push(make("span"));
      isHeaded = true;
    }
    cells.push(make("span", { class: "label" }, group));
    members.forEach((index) => {
      const canvas = make("canvas");
      paintThumb(canvas, n, edgesOf(doc, index), paint);
      const name = DATA.graphs[index].label;
      const button = make("button", { type: "button", title: name, "aria-label": name, "aria-pressed": String(index === chosen) }, canvas);
      button.addEventListener("click", () => choose(index));
      cells.push(button);
    });
    for (let rest = members.length; rest < columns; rest++) cells.push(make("span"));
  }
  box.replaceChildren(...cells);
  byId("gallery").hidden = DATA.graphs.length < 2;
}
