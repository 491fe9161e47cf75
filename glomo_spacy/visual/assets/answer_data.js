// What the page shows of the chosen question: its answers, the relations of some words, the mixture behind them.

const state = { item: 0, answer: 0, word: null, graph: "all", view: "both", theme: null };
const VIEWS = ["both", "starts", "ends"];
const LONGEST_LIST = 6;

const item = () => DATA.items[state.item];
const isSpace = (place) => item().words[place].trim() === "";
const graphs = () => (state.graph === "all" ? item().graphs : [item().graphs[Number(state.graph)]]);

// The words that relations are shown of: the chosen one, else those of the answer.
function focus() {
  if (state.word !== null) return { start: state.word, end: state.word + 1 };
  const answer = item().answers[state.answer];
  return answer ? { start: answer[0], end: answer[1] } : null;
}

const isWithin = ({ start, end }, place) => place >= start && place < end;

function textOf({ start, end }) {
  const { words, spaces } = item();
  let text = "";
  for (let place = start; place < end; place++) text += (isSpace(place) ? " " : words[place]) + (spaces[place] ? " " : "");
  return text.trim();
}

// [{receiver, source, weight}] between the words in focus and others, strongest first; the mean of the graphs shown.
// Relations inside the answer say little and are left out.
function relationsOf(span, isIncoming) {
  const sums = new Map();
  for (const graph of graphs()) {
    for (const [receiver, source, weight] of graph.relations) {
      const [inside, outside] = isIncoming ? [receiver, source] : [source, receiver];
      if (!isWithin(span, inside) || isWithin(span, outside)) continue;
      const key = receiver + "/" + source;
      const edge = sums.get(key) ?? { receiver, source, weight: 0 };
      edge.weight += weight / graphs().length;
      sums.set(key, edge);
    }
  }
  return [...sums.values()].sort((a, b) => b.weight - a.weight).slice(0, LONGEST_LIST);
}

// [{label, share}] of the candidate graphs, largest first: the mean over the words in focus.
function mixtureOf(span) {
  const found = [];
  for (const graph of graphs()) {
    const rows = graph.mixture.length > 1 ? graph.mixture.slice(span.start, span.end) : graph.mixture;
    if (!rows.length) continue;
    item().candidates.forEach((name, at) => {
      const share = rows.reduce((sum, row) => sum + row[at], 0) / rows.length;
      found.push({ label: graphs().length > 1 ? `${graph.label}: ${name}` : name, share });
    });
  }
  return found.sort((a, b) => b.share - a.share).slice(0, LONGEST_LIST);
}
