// The relations as text: those of one word, or the strongest of all while no word is chosen.

const LONGEST_LIST = 12;

// Bars are relative to the strongest relation of the graph: a mixture of many graphs has small weights throughout.
function relationRow(edge, label, strongest) {
  const bar = make("i");
  bar.style.width = Math.max(3, (100 * edge.weight) / strongest) + "%";
  const tone = direction(edge);
  return make("li", { class: tone }, label, make("span", { class: "bar" }, bar), make("span", { class: "number" }, decimals(edge.weight)));
}

function relationList(edges, label, strongest) {
  const list = make("ol");
  for (const edge of edges.slice(0, LONGEST_LIST)) list.append(relationRow(edge, label(edge), strongest));
  const rest = edges.length - LONGEST_LIST;
  return rest > 0 ? [list, make("p", { class: "empty" }, `and ${rest} weaker`)] : [list];
}

function section(heading, edges, label, strongest, whenEmpty) {
  const body = edges.length ? relationList(edges, label, strongest) : [make("p", { class: "empty" }, whenEmpty)];
  return heading ? [make("h3", {}, heading), ...body] : body;
}

function drawDetail(words, edges, word) {
  const strongestFirst = [...edges].reverse();
  const strongest = strongestFirst[0]?.weight;
  const box = byId("detail");
  if (word === null) {
    const pair = (edge) => make("span", {}, words[edge.receiver], make("span", { class: "arrow" }, "←"), words[edge.source]);
    box.replaceChildren(
      make("h2", {}, "Strongest relations"),
      make("p", { class: "hint" }, "Receiver ← source. Point at a word to see its own, click to keep them."),
      ...section(null, strongestFirst, pair, strongest, "This graph has no relations: no word takes anything in."),
    );
    return;
  }
  const one = (index) => make("span", {}, words[index]);
  const incoming = strongestFirst.filter((edge) => edge.receiver === word);
  const outgoing = strongestFirst.filter((edge) => edge.source === word);
  box.replaceChildren(
    make("h2", {}, words[word]),
    make("p", { class: "hint" }, `Word ${word + 1} of ${words.length}`),
    ...section("Receives from (its sources)", incoming, (edge) => one(edge.source), strongest, "Nothing: this word takes no other word in."),
    ...section("Is a source for (its receivers)", outgoing, (edge) => one(edge.receiver), strongest, "No word takes this one in."),
  );
}
