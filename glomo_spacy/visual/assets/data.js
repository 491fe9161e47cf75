// What the page shows: texts, their graphs as compressed rows, and the few helpers every part uses.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SCALE = 1000; // weights are stored as whole thousandths
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

const edgeCache = new Map();

const distance = (edge) => Math.abs(edge.receiver - edge.source);
const weakestFirst = (a, b) => a.weight - b.weight || distance(b) - distance(a);

// [{receiver, source, weight}] of one graph of one text, weakest first so that strong arcs are drawn on top. Of equal
// weights that of the nearer word counts as stronger.
function edgesOf(doc, graph) {
  const key = doc + "/" + graph;
  if (!edgeCache.has(key)) {
    const { rows, sources, weights } = DATA.docs[doc].graphs[graph];
    const edges = [];
    for (let receiver = 0; receiver + 1 < rows.length; receiver++)
      for (let at = rows[receiver]; at < rows[receiver + 1]; at++)
        edges.push({ receiver, source: sources[at], weight: weights[at] });
    edgeCache.set(key, edges.sort(weakestFirst));
  }
  return edgeCache.get(key);
}

// The strongest sources of each receiver; all of them if `most` is null. Order is kept.
function strongestSources(edges, most) {
  if (most === null) return edges;
  const taken = new Map();
  const isTaken = (edge) => taken.set(edge.receiver, (taken.get(edge.receiver) ?? 0) + 1).get(edge.receiver) <= most;
  return [...edges].reverse().filter(isTaken).reverse();
}

// The lowest step of the slider that leaves a picture one can take in: at most two arcs for each word.
function calmThreshold(edges, nWords) {
  const wanted = 2 * nWords;
  if (edges.length <= wanted) return 10;
  const step = Math.floor(edges[edges.length - 1 - wanted].weight / 10) * 10 + 10;
  const strongest = Math.floor(edges[edges.length - 1].weight / 10) * 10;
  return Math.max(10, Math.min(step, strongest));
}

const direction = (edge) => (edge.source < edge.receiver ? "back" : "ahead");
const decimals = (weight) => (weight / SCALE).toFixed(2);

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
