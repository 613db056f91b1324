// Similarity of all topics, and how the run went.

const heat = byId("similarity-picture");
const { order } = data.similarity;
const placeOf = new Map(order.map((topic, place) => [topic, place]));
const NAMED_CELL = 11; // pixels a cell needs for its row to be named

function similarityOf(one, other) {
  const [low, high] = [placeOf.get(one), placeOf.get(other)].sort((a, b) => a - b);
  return low === high ? 1 : data.similarity.hundredths[high][low] / 100;
}

// Each pair as a pixel of an image: any number of them is drawn at once.
function heatImage() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = order.length;
  const context = canvas.getContext("2d");
  const image = context.createImageData(order.length, order.length);
  const accent = color("accent").match(/[0-9a-f]{2}/gi).map((hex) => parseInt(hex, 16));
  order.forEach((one, row) => order.forEach((other, column) => {
    image.data.set([...accent, one === other ? 0 : Math.round(255 * Math.max(similarityOf(one, other), 0))], 4 * (row * order.length + column));
  }));
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

let heatLayout = null;

function paintSimilarity() {
  const width = heat.parentElement.clientWidth || 900;
  const named = width > 500 ? Math.min((width - 190) / order.length, 22) >= NAMED_CELL : false;
  const left = named ? 190 : 14;
  const cell = Math.min((width - left - 14) / order.length, 22);
  const side = cell * order.length;
  const [top, height] = [44, 44 + side + 14];
  heatLayout = { left, top, cell };
  heat.setAttribute("viewBox", `0 0 ${width} ${height}`);
  heat.style.aspectRatio = `${width} / ${height}`;
  const marks = [drawn("image", { href: heatImage(), x: left, y: top, width: side, height: side, style: "image-rendering:pixelated", preserveAspectRatio: "none" })];
  order.forEach((topic, place) => {
    const middle = top + (place + 0.5) * cell;
    if (named) marks.push(label(fitted(title(topic), left - 16), [left - 8, middle], `row${topic === state.topic ? " chosen" : ""}`));
    if (named && cell >= 15) marks.push(label(String(topic), [left + (place + 0.5) * cell, top - 10], "column"));
  });
  // The families along the diagonal.
  let start = 0;
  data.families.forEach(({ parts }, family) => {
    const own = parts.flatMap((part) => part.topics).filter((topic) => placeOf.has(topic)).length;
    const at = { x: left + start * cell, y: top + start * cell, width: own * cell, height: own * cell };
    marks.push(drawn("rect", { class: `family g${family}`, ...at }));
    start += own;
  });
  if (placeOf.has(state.topic)) {
    const at = placeOf.get(state.topic) * cell;
    marks.push(drawn("rect", { class: "cross", x: left, y: top + at, width: side, height: cell }));
    marks.push(drawn("rect", { class: "cross", x: left + at, y: top, width: cell, height: side }));
  }
  // The scale, from no relation to the same.
  const scale = { x: left + measured("0 and less", 11) + 8, y: 8, width: 120, height: 8 };
  marks.push(
    drawn("defs", {}, drawn("linearGradient", { id: "scale" },
      drawn("stop", { offset: 0, "stop-color": color("accent"), "stop-opacity": 0 }), drawn("stop", { offset: 1, "stop-color": color("accent") }))),
    drawn("rect", { class: "scale", ...scale, fill: "url(#scale)" }),
    label("0 and less", [left, 12], "tick start"), label("1", [scale.x + scale.width + 8, 12], "tick start"));
  heat.replaceChildren(...marks);
}
painters.similarity = paintSimilarity;

function measured(text, size) {
  measure.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return measure.measureText(text).width;
}

// So much of a text as there is room for.
function fitted(text, width) {
  let shown = text;
  while (shown.length > 4 && measured(shown, 11) > width) shown = `${shown.slice(0, -2).trimEnd()}…`;
  return shown;
}

function pairAt(event) {
  const box = heat.getBoundingClientRect();
  const scale = heat.viewBox.baseVal.width / box.width;
  const [column, row] = [(event.clientX - box.left) * scale - heatLayout.left, (event.clientY - box.top) * scale - heatLayout.top]
    .map((at) => Math.floor(at / heatLayout.cell));
  return order[row] === undefined || order[column] === undefined ? null : [order[row], order[column]];
}
heat.addEventListener("pointermove", (event) => {
  const pair = pairAt(event);
  byId("pair").textContent = !pair ? "\u00a0"
    : pair[0] === pair[1] ? title(pair[0]) : `${title(pair[0])}  and  ${title(pair[1])}: ${signed(similarityOf(...pair))}`;
});
heat.addEventListener("click", (event) => {
  const pair = pairAt(event);
  if (pair) go(`topic-${pair[0]}`);
});

// Curves over epochs

const CHARTS = [
  ["Negative ELBO", "nats a document", (name) => /^(train|val)_elbo$/.test(name), (value) => -value],
  ["Reconstruction loss", "nats a document", (name) => /^(train|val)_reconstruction_loss$/.test(name)],
  ["KL divergence", "nats a document", (name) => /^(train|val)_kl$/.test(name)],
  ["Perplexity", "", (name) => name === "val_perplexity"],
  ["Coherence and diversity", "", (name) => /^val_topic_(coherence|diversity)$/.test(name)],
  ["Topics in use", "", (name) => name === "val_active_topics"],
];

// Round numbers between two, about so many.
function ticks(low, high, about) {
  const rough = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(Math.floor(high / step + 1e-9) - first + 1, 0) }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

// Lines [{name, points: [[x, y or null]], group}] over a common axis.
function lines(series, xTitle) {
  const [width, height, left, right, top, bottom] = [310, 200, 44, 10, 10, 38];
  const points = series.flatMap((line) => line.points).filter(([, y]) => y !== null);
  if (!points.length) return null;
  const range = (axis) => {
    const values = points.map((point) => point[axis]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return high > low ? [low, high] : [low - 1, high + 1];
  };
  const [[x0, x1], [y0, y1]] = [range(0), range(1)];
  const atX = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const atY = (y) => height - bottom - ((y - y0) / (y1 - y0)) * (height - top - bottom);
  const made = drawn("svg", { viewBox: `0 0 ${width} ${height}`, class: "lines" });
  for (const y of ticks(y0, y1, 4)) {
    made.append(drawn("line", { class: "grid", x1: left, x2: width - right, y1: atY(y), y2: atY(y) }), label(y.toLocaleString("en"), [left - 6, atY(y)], "tick end"));
  }
  for (const x of ticks(x0, x1, 5)) made.append(label(x.toLocaleString("en"), [atX(x), height - bottom + 14], "tick"));
  made.append(label(xTitle, [(left + width - right) / 2, height - 7], "tick"));
  for (const { points: own, group } of series) {
    let path = "";
    let pen = "M";
    for (const [x, y] of own) {
      if (y === null) pen = "M";
      else {
        path += `${pen}${atX(x).toFixed(1)} ${atY(y).toFixed(1)}`;
        pen = "L";
      }
    }
    made.append(drawn("path", { class: `line g${group}`, d: path }));
    if (own.length <= 40) {
      for (const [x, y] of own) {
        if (y === null) continue;
        const tip = drawn("title");
        tip.textContent = `${xTitle} ${x.toLocaleString("en")}: ${y.toLocaleString("en")}`;
        made.append(drawn("circle", { class: `dot g${group}`, cx: atX(x), cy: atY(y), r: 2.5 }, tip));
      }
    }
  }
  return made;
}

function figure(heading, unit, series, xTitle) {
  const chart = lines(series, xTitle);
  if (!chart) return [];
  set(chart, { role: "img", "aria-label": `${heading} over ${xTitle}s; the table has the numbers.` }, []);
  const caption = element("figcaption", {}, element("strong", {}, heading), ...(unit ? [element("span", {}, unit)] : []),
    ...(series.length < 2 ? [] : series.map(({ name, group }) => element("span", { class: `key g${group}` }, name))),
    element("span", { class: "save", role: "group", "aria-label": `Download ${heading}` }, ...["SVG", "PNG"].map((kind) => element("button", {
      type: "button", class: "quiet", onclick: () => savePicture(chart, heading.toLowerCase().replaceAll(" ", "_"), kind.toLowerCase()),
    }, kind))));
  return [element("figure", {}, caption, chart)];
}

let chartsDrawn = false;
function paintRun() {
  const list = byId("charts");
  if (!list || chartsDrawn) return;
  chartsDrawn = true;
  list.replaceChildren(...CHARTS.flatMap(([heading, unit, belongs, change = (value) => value]) => {
    const series = Object.entries(data.history).filter(([name]) => belongs(name)).map(([name, values]) => ({
      name: name.replace(/^val_topic_/, "").split("_")[0],
      group: name.startsWith("train") || name.endsWith("diversity") ? 1 : 0,
      points: values.map(([epoch, value]) => [epoch, value === null ? null : change(value)]),
    }));
    return series.length ? figure(heading, unit, series, "epoch") : [];
  }));
}
painters.run = paintRun;
