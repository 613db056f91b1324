// The map: topics as circles, similar ones near each other; the words of the chosen one among them.

const picture = byId("map-picture");
const MARGIN = 40;
const MOST_ZOOM = 12;
const camera = { zoom: 1, x: 0, y: 0 }; // what of the picture is at its upper left corner
const measure = document.createElement("canvas").getContext("2d");
const isNarrow = (width) => width < 500;
let size = { width: 900, height: 640 };
let spotlit;

const heights = topics.map((topic) => topic.point[1]);
const deep = Math.max(...heights);

// From the plane of the topics to the picture at zoom 1: the same scale both ways, on a telephone upright.
function onPicture([x, y]) {
  const upright = isNarrow(size.width);
  const [wide, high] = upright ? [deep, 1] : [1, deep];
  const scale = Math.min((size.width - 2 * MARGIN) / Math.max(wide, 1e-9), (size.height - 2 * MARGIN) / Math.max(high, 1e-9));
  const [right, up] = upright ? [y - deep / 2, 0.5 - x] : [x - 0.5, y - deep / 2];
  return [size.width / 2 + right * scale, size.height / 2 - up * scale];
}
const onScreen = (point) => {
  const [x, y] = onPicture(point);
  return [(x - camera.x) * camera.zoom, (y - camera.y) * camera.zoom];
};

function radii() {
  const shares = topics.map((_, topic) => shareOf(topic));
  const largest = Math.max(...shares);
  // The circles together fill a fourteenth of the picture at most, the largest of few not too much of it.
  const scale = Math.min(Math.max(size.width / 18, 26), Math.sqrt((0.07 * size.width * size.height * largest) / Math.PI));
  return shares.map((share) => Math.max(scale * Math.sqrt(share / largest), 4) * Math.sqrt(camera.zoom));
}

// Where a label may go instead of its own place, in pixels: places on a spiral, the nearest first.
const SPIRAL = Array.from({ length: 130 }, (_, turn) => {
  const [angle, far] = [2.4 * turn, 5.4 * Math.sqrt(turn)];
  return [1.6 * far * Math.cos(angle), far * Math.sin(angle)];
});

// Labels, the most important first, each as near to its point as it can stand without touching another one.
function placer() {
  const taken = [];
  return (text, point, font, high, tries) => {
    if (!isShown(point)) return null;
    measure.font = font;
    const half = measure.measureText(text).width / 2 + 3;
    const [x, y] = [Math.max(Math.min(point[0], size.width - half - 2), half + 2), point[1]];
    for (const [byX, byY] of SPIRAL.slice(0, tries)) {
      const box = [x + byX - half, y + byY - high, x + byX + half, y + byY + high];
      if (box[0] < 2 || box[2] > size.width - 2 || box[1] < 2 || box[3] > size.height - 2) continue;
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      return { at: [x + byX, y + byY], apart: Math.abs(x + byX - point[0]) > half || Math.abs(byY) > high, half, high };
    }
    return null;
  };
}

// A line from a point to the edge of its label.
function leader([x, y], { at, half, high }, kind) {
  const [dx, dy] = [x - at[0], y - at[1]];
  const part = Math.min(1, (half - 2) / Math.max(Math.abs(dx), 1e-9), (high - 2) / Math.max(Math.abs(dy), 1e-9));
  return drawn("line", { class: kind, x1: x, y1: y, x2: at[0] + dx * part, y2: at[1] + dy * part });
}

function label(text, [x, y], kind) {
  const made = drawn("text", { class: kind, x, y, dy: "0.35em" });
  made.textContent = text;
  return made;
}

function drawMap() {
  const [chosen, similar] = [state.topic, topics[state.topic].similar.slice(0, 5).map(([other]) => other)];
  const family = getComputedStyle(document.body).fontFamily;
  const radius = radii();
  const points = topics.map((topic) => onScreen(topic.point));
  const place = placer();
  const [bold, plain] = [`600 13px ${family}`, `12px ${family}`];
  const marks = { links: [], circles: [], leaders: [], words: [], names: [] };

  for (const other of similar) {
    const [[x1, y1], [x2, y2]] = [points[chosen], points[other]];
    marks.links.push(drawn("line", { class: "similar", x1, y1, x2, y2 }));
  }
  for (const topic of ranking) { // the small ones above
    const [cx, cy] = points[topic];
    const tip = drawn("title");
    tip.textContent = title(topic) + (knownShares ? `, ${percent(topics[topic].share)}` : "");
    const circle = drawn("circle", { cx, cy, r: radius[topic] });
    if (spotlit) circle.style.fillOpacity = 0.08 + 0.8 * ((spotlit.get(topic) || 0) / 100);
    marks.circles.push(drawn("a", {
      href: `#topic-${topic}`, class: `circle g${topics[topic].group}${topic === chosen ? " chosen" : ""}`, "data-topic": topic,
      tabindex: topic === chosen ? 0 : -1, "aria-label": title(topic),
    }, circle, tip));
  }
  const nameLabel = (topic, tries) => {
    const text = shortName(topic);
    const found = place(text, points[topic], bold, 9, tries);
    if (!found) return;
    if (found.apart) marks.leaders.push(leader(points[topic], found, "leader"));
    marks.names.push(label(text, found.at, topic === chosen ? "name chosen" : "name"));
  };
  nameLabel(chosen, 90);
  topics[chosen].places.forEach((at, rank) => {
    const [x, y] = onScreen(at);
    const word = words[topics[chosen].words[rank]];
    const found = rank < (isNarrow(size.width) ? 8 : 14) || camera.zoom > 1.5 ? place(word, [x, y], plain, 8, SPIRAL.length) : null;
    if (!found) return;
    if (found.apart) marks.leaders.push(leader([x, y], found, "leader own"));
    marks.words.push(drawn("circle", { class: "word", cx: x, cy: y, r: 2 }), label(word, found.at, "word"));
  });
  for (const topic of [...similar, ...ranking]) if (topic !== chosen && !marks[topic]) {
    marks[topic] = true;
    nameLabel(topic, similar.includes(topic) || (topics.length <= 80 && !isNarrow(size.width)) ? 90 : camera.zoom < 2 ? 8 : 30);
  }
  picture.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  picture.classList.toggle("zoomed", camera.zoom > 1);
  const held = picture.contains(document.activeElement);
  picture.replaceChildren(drawn("g", { class: `g${topics[chosen].group}` }, ...marks.links, ...marks.circles, ...marks.leaders, ...marks.words, ...marks.names));
  if (held) picture.querySelector(".chosen").focus({ preventScroll: true });
}

// Fewer of the words where these are the name; a name that was given is there as a whole.
function shortName(topic) {
  const short = topics[topic].top.slice(0, topics.length > 80 ? 1 : 2).join(" ");
  return nameOf(topic).startsWith(short) ? short : nameOf(topic);
}

function paintMap() {
  const width = picture.parentElement.clientWidth;
  if (width) {
    const wanted = (width - 2 * MARGIN) * deep + 2 * MARGIN;
    size = { width, height: Math.round(isNarrow(width) ? width * 1.5 : Math.min(Math.max(wanted, width * 0.5), 720)) };
  }
  keepCamera();
  drawMap();
}
painters.map = paintMap;

// Where there is no map to be seen, or nothing is known of the word that is pointed at, nothing happens.
function spotlight(word) {
  spotlit = data.topics_of[word] && new Map(data.topics_of[word]);
  if (state.view === "map") drawMap();
}

// Zoom and movement, within the picture.

function keepCamera() {
  camera.zoom = Math.min(Math.max(camera.zoom, 1), MOST_ZOOM);
  camera.x = Math.min(Math.max(camera.x, 0), size.width * (1 - 1 / camera.zoom));
  camera.y = Math.min(Math.max(camera.y, 0), size.height * (1 - 1 / camera.zoom));
}

const redraw = debounced(drawMap);

// So much nearer, with what is at a place of the screen staying there.
function zoom(factor, [x, y]) {
  const before = camera.zoom;
  camera.zoom = Math.min(Math.max(before * factor, 1), MOST_ZOOM);
  camera.x += x / before - x / camera.zoom;
  camera.y += y / before - y / camera.zoom;
  keepCamera();
  redraw();
}

// The chosen topic with those most similar to it, as large as they can be.
function zoomToTopic() {
  const shown = [state.topic, ...topics[state.topic].similar.slice(0, 5).map(([other]) => other)].map((topic) => onPicture(topics[topic].point));
  const [left, right, top, bottom] = [0, 0, 1, 1].map((axis, side) => (side % 2 ? Math.max : Math.min)(...shown.map((point) => point[axis])));
  camera.zoom = Math.min(size.width / (right - left + 140), size.height / (bottom - top + 120), MOST_ZOOM);
  keepCamera();
  camera.x = (left + right) / 2 - size.width / camera.zoom / 2;
  camera.y = (top + bottom) / 2 - size.height / camera.zoom / 2;
  keepCamera();
  redraw();
}

function isShown([x, y]) {
  return x > 0 && x < size.width && y > 0 && y < size.height;
}

for (const tool of document.querySelectorAll("[data-zoom]")) tool.addEventListener("click", () => {
  const { zoom: which } = tool.dataset;
  if (which === "topic") return zoomToTopic();
  if (which === "all") return Object.assign(camera, { zoom: 1, x: 0, y: 0 }), redraw();
  const at = onScreen(topics[state.topic].point);
  zoom(which === "in" ? 1.6 : 1 / 1.6, isShown(at) ? at : [size.width / 2, size.height / 2]);
});

const toPicture = (event) => {
  const box = picture.getBoundingClientRect();
  return [((event.clientX - box.left) * size.width) / box.width, ((event.clientY - box.top) * size.height) / box.height];
};

const pointers = new Map();
let moved = 0;
picture.addEventListener("pointerdown", (event) => {
  pointers.set(event.pointerId, toPicture(event));
  if (pointers.size === 1) moved = 0;
});
picture.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = toPicture(event);
  const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
  moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
  if (moved > 4 && !picture.hasPointerCapture(event.pointerId)) picture.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, now);
  if (others.length) {
    const [other] = others;
    const apart = (at) => Math.max(Math.hypot(at[0] - other[0], at[1] - other[1]), 1);
    zoom(apart(now) / apart(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  } else if (moved > 4) {
    camera.x -= (now[0] - before[0]) / camera.zoom;
    camera.y -= (now[1] - before[1]) / camera.zoom;
    keepCamera();
    redraw();
  }
});
for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
  picture.addEventListener(end, (event) => pointers.delete(event.pointerId));
}
picture.addEventListener("click", (event) => { // the end of a movement chooses nothing
  if (moved > 4 && event.detail) { // not that of a key
    event.preventDefault();
    event.stopPropagation();
  }
}, true);
picture.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 250), toPicture(event));
}, { passive: false });
// Arrows go from topic to topic in the order of the families.
picture.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  go(`topic-${tree[(tree.indexOf(state.topic) + by + tree.length) % tree.length]}`);
});
