// What stands beside the map: the sentences while no word is chosen, else that word, its sentence and its nearest words.

const COSINE = 1000; // cosines are stored as whole thousandths

// Tokens as one would write them: no space before a full stop and its like.
const written = (words) => words.join(" ").replace(/ (?=[.,;:!?%)\]}’]|'\w)/g, "");
const wordOf = (map, token) => map.sentences[token.sentence].words[token.position];
const groupOf = (map, token) => map.sentences[token.sentence].group;
const wholeSentence = (map, token) => written(map.sentences[token.sentence].words);

// A token and so many words on either side: [text, whether it is the token itself].
function contextParts(map, token, n = Infinity) {
  const words = map.sentences[token.sentence].words;
  const before = written(words.slice(Math.max(0, token.position - n), token.position));
  const upTo = written(words.slice(token.position, token.position + 1 + n));
  const self = words[token.position];
  return [[before && before + " ", false], [self, true], [upTo.slice(self.length), false]].filter(([part]) => part);
}

const inBold = (parts) => parts.map(([part, isSelf]) => (isSelf ? make("b", {}, part) : part));

function drawSentences(map, pick) {
  const box = make("div");
  const listed = map.focus.length ? map.focus : map.sentences.map((_, sentence) => map.tokens.findIndex((token) => token.sentence === sentence)).filter((index) => index >= 0);
  for (const [group, name] of [...map.groups.entries(), [null, ""]]) {
    const members = listed.filter((index) => groupOf(map, map.tokens[index]) === group);
    if (!members.length) continue;
    if (name) box.append(make("h3", {}, groupMark(group), `${name} · ${members.length}`));
    for (const index of members) {
      const parts = map.focus.length ? inBold(contextParts(map, map.tokens[index])) : [wholeSentence(map, map.tokens[index])];
      const button = make("button", { type: "button", class: `said ${toneOf(group)}`, "data-token": index }, ...parts);
      button.addEventListener("click", () => pick(index));
      box.append(button);
    }
  }
  const heading = map.focus.length ? `“${map.name}” in ${listed.length} sentences` : `${listed.length} sentences`;
  byId("detail").replaceChildren(make("h2", {}, heading), make("p", { class: "hint" }, "Choose a sentence here or a mark on the map."), box);
}

function drawNeighbours(map, view, index, pick) {
  const token = map.tokens[index];
  const list = make("ol");
  view.near[index].forEach((other, place) => {
    const cosine = view.cosines[index][place];
    const bar = make("i");
    bar.style.width = Math.max(2, (100 * cosine) / COSINE) + "%";
    const title = wholeSentence(map, map.tokens[other]);
    const button = make("button", { type: "button", title }, ...inBold(contextParts(map, map.tokens[other], 3)));
    button.addEventListener("click", () => pick(other));
    list.append(make("li", { class: `near ${toneOf(map.tokens[other].group)}` }, button, make("span", { class: "bar" }, bar), make("span", { class: "number" }, (cosine / COSINE).toFixed(2))));
  });
  const group = groupOf(map, token);
  const sense = group === null ? [] : [make("span", { class: "of" }, ` · ${map.groups[group]}`)];
  byId("detail").replaceChildren(
    make("h2", {}, wordOf(map, token), ...sense),
    make("p", { class: `sentence ${toneOf(group)}` }, ...inBold(contextParts(map, token))),
    make("h3", {}, "Nearest words, with their sentences"),
    list,
    make("p", { class: "empty" }, "By cosine in all dimensions, which the map can only suggest."),
  );
}
