// The map: where marks and their labels stand, drawn as SVG. Marks stay the same while layers change, so that one sees
// them move.

const SHAPES = [
  "M0-5.6A5.6 5.6 0 1 1 0 5.6A5.6 5.6 0 1 1 0-5.6Z", // circle
  "M-5-5H5V5H-5Z", // square
  "M0-6.4L6.2 4.6H-6.2Z", // triangle
  "M0-6.8L6.8 0L0 6.8L-6.8 0Z", // diamond
  "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z", // cross
  "M0 6.4L6.2-4.6H-6.2Z", // triangle, point down
];
const DOT = "M0-2.6A2.6 2.6 0 1 1 0 2.6A2.6 2.6 0 1 1 0-2.6Z";
const MARGIN = { across: 64, down: 22 };
const CELL = 4; // pixels of the grid in which labels look for free room
const MOST_LABELS = 400;

const toneOf = (group) => (group === null ? "tone-none" : "tone-" + (group % SHAPES.length));

function groupMark(group) {
  const mark = make("svg:path", { class: "mark", d: group === null ? DOT : SHAPES[group % SHAPES.length] });
  const picture = make("svg:svg", { width: 16, height: 16, viewBox: "-8 -8 16 16", class: toneOf(group), "aria-hidden": "true" });
  picture.append(mark);
  return picture;
}

// One mark with its label for each token, in the order of tokens.
function makePoints(map, labelOf) {
  return map.tokens.map((token, index) => {
    const node = make("svg:g", { class: `point ${toneOf(token.group)}${token.group === null ? " faint" : ""}`, "data-token": index });
    const text = make("svg:text");
    for (const [part, isSelf] of labelOf(token)) text.append(make("svg:tspan", isSelf ? { class: "self" } : {}, part));
    node.append(make("svg:path", { class: "mark", d: token.group === null ? DOT : SHAPES[token.group % SHAPES.length] }), text);
    return node;
  });
}

const STRETCH = 1.6; // how much more one axis may be drawn out than the other, to use the room

// From the coordinates of a view to pixels: the whole view fits.
function fit(view, width, height) {
  const [left, right] = extent(view.x), [top, bottom] = extent(view.y);
  const middle = [(left + right) / 2, (top + bottom) / 2];
  const across = (width - 2 * MARGIN.across) / (right - left || 1), down = (height - 2 * MARGIN.down) / (bottom - top || 1);
  const scale = [Math.min(across, STRETCH * down), Math.min(down, STRETCH * across)];
  return (index) => [width / 2 + (view.x[index] - middle[0]) * scale[0], height / 2 + (view.y[index] - middle[1]) * scale[1]];
}

const extent = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);

// Labels take what room is left, the most important first; where there is none, a label is not shown. The chosen word
// always has its label, and equal words on one point share theirs.
function placeLabels(points, places, order, chosen, [width, height]) {
  const room = new Room(width, height);
  const labelled = new Set();
  order.forEach((index) => room.take(box(places[index], 5, 5)));
  for (const index of order) {
    const text = points[index].lastChild;
    const key = `${text.textContent} ${places[index].map(Math.round)}`;
    const around = labelled.size < MOST_LABELS && !labelled.has(key) ? sides(places[index], text.getBBox()) : [];
    const side = around.find((side) => room.isFree(side)) ?? (index === chosen ? around[0] : null);
    text.classList.toggle("off", !side);
    if (!side) continue;
    room.take(side);
    labelled.add(key);
    text.setAttribute("x", side.left - places[index][0]);
    text.setAttribute("y", (side.top + side.bottom) / 2 - places[index][1]);
  }
}

const box = ([x, y], across, down) => ({ left: x - across, right: x + across, top: y - down, bottom: y + down });

function sides([x, y], { width, height }) {
  const away = 9;
  const at = (left, top) => ({ left, right: left + width, top, bottom: top + height });
  return [
    at(x + away, y - height / 2), at(x - away - width, y - height / 2), at(x - width / 2, y - away - height + 2), at(x - width / 2, y + away - 2),
    at(x + away - 2, y - height - 2), at(x + away - 2, y + 2), at(x - away - width + 2, y - height - 2), at(x - away - width + 2, y + 2),
  ];
}

class Room {
  constructor(width, height) {
    this.columns = Math.ceil(width / CELL);
    this.rows = Math.ceil(height / CELL);
    this.taken = new Uint8Array(this.columns * this.rows);
  }

  isFree(side) {
    if (side.left < 0 || side.top < 0 || side.right > this.columns * CELL || side.bottom > this.rows * CELL) return false;
    return !this.some(side, (cell) => this.taken[cell]);
  }

  take(side) {
    this.some(side, (cell) => { this.taken[cell] = 1; return false; });
  }

  some({ left, right, top, bottom }, isSo) {
    const last = [Math.min(this.columns - 1, Math.floor(right / CELL)), Math.min(this.rows - 1, Math.floor(bottom / CELL))];
    for (let row = Math.max(0, Math.floor(top / CELL)); row <= last[1]; row++)
      for (let column = Math.max(0, Math.floor(left / CELL)); column <= last[0]; column++)
        if (isSo(row * this.columns + column)) return true;
    return false;
  }
}
