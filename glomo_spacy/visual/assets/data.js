// What the page shows: texts and their graphs as compressed rows.

const SCALE = 1000; // weights are stored as whole thousandths
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
