// Pictures and tables as files, made in the page.

function download(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// A text that would not be read as text has a quote before it, as in the tables of the run and by their rule.
const marked = new RegExp(data.marked);
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = marked.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const csv = (table) => table.map((row) => row.map(cell).join(",") + "\n").join("");

const TABLES = {
  topics: () => [
    ["topic", "name", "share", "coherence", ...Array.from({ length: topics[0].top.length }, (_, rank) => `word_${rank + 1}`)],
    ...topicsListed().map((topic) => [topic, nameOf(topic), topics[topic].share, topics[topic].coherence, ...topics[topic].top]),
  ],
  names: () => [["topic", "name"], ...[...new Set([...data.given, ...given.keys()])].sort((one, other) => one - other).map((topic) => [topic, nameOf(topic)])],
  map: () => [["topic", "name", "x", "y"], ...topics.map(({ point }, topic) => [topic, nameOf(topic), ...point])],
  similarity: () => [["topic", "name", ...order.map(String)],
    ...order.map((one) => [one, nameOf(one), ...order.map((other) => similarityOf(one, other))])],
  labels: () => [["topic", "name", ...data.label_table.labels.map((label) => data.labels[label])],
    ...data.label_table.topics.map((topic, row) => [topic, nameOf(topic), ...data.label_table.shares[row]])],
  time: () => [["topic", "name", ...periods.names], ...tree.map((topic) => [topic, nameOf(topic), ...periods.shares[topic]])],
  compare: () => {
    const { columns, rows: pairs } = data.compare_table;
    const [topic, name] = ["topic", "name"].map((column) => columns.indexOf(column));
    return [columns, ...pairs.map((row) => row.map((value, column) => (column === name && row[topic] !== null ? nameOf(row[topic]) : value)))];
  },
  history: () => {
    const names = Object.keys(data.history);
    const byEpoch = names.map((name) => new Map(data.history[name]));
    const epochs = [...new Set(byEpoch.flatMap((values) => [...values.keys()]))].sort((one, other) => one - other);
    return [["epoch", ...names], ...epochs.map((epoch) => [epoch, ...byEpoch.map((values) => values.get(epoch))])];
  },
};

// The table of labels as a picture.
function labelPicture() {
  const { labels, topics: listed, shares } = data.label_table;
  const [left, top, wide, high] = [230, 130, 34, 20];
  const made = drawn("svg", { viewBox: `0 0 ${left + labels.length * wide + 60} ${top + listed.length * high + 10}` });
  labels.forEach((number, column) => {
    const text = label(data.labels[number], [0, 0], "tick start");
    text.setAttribute("transform", `translate(${left + (column + 0.5) * wide} ${top - 8}) rotate(-45)`);
    made.append(text);
  });
  listed.forEach((topic, row) => {
    const y = top + row * high;
    made.append(label(fitted(title(topic), left - 16), [left - 8, y + high / 2], "row"));
    shares[row].forEach((share, column) => {
      const x = left + column * wide;
      made.append(drawn("rect", { x: x + 1, y: y + 1, width: wide - 2, height: high - 2, class: "share", "fill-opacity": share }));
      if (share >= 0.01) made.append(label(String(Math.round(100 * share)), [x + wide / 2, y + high / 2], "tick"));
    });
  });
  return made;
}

const PICTURES = { map: () => picture, similarity: () => heat, labels: labelPicture, time: () => byId("time-picture") };
const STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "font-family", "font-size", "font-weight", "text-anchor", "opacity", "paint-order"];

// A picture that stands alone: what the style sheet says is written into it.
function standalone(source) {
  const attached = source.isConnected;
  if (!attached) {
    source.style.position = "absolute";
    document.body.append(source);
  }
  const copy = source.cloneNode(true);
  const originals = [source, ...source.querySelectorAll("*")];
  for (const [place, own] of [copy, ...copy.querySelectorAll("*")].entries()) {
    const style = getComputedStyle(originals[place]);
    own.setAttribute("style", STYLES.map((name) => `${name}:${style.getPropertyValue(name)}`).join(";") +
      (own.tagName === "image" ? ";image-rendering:pixelated" : ""));
    for (const attribute of ["tabindex", "class", "id"]) if (own.tagName !== "linearGradient") own.removeAttribute(attribute);
  }
  for (const link of copy.querySelectorAll("a")) link.replaceWith(...link.childNodes);
  if (!attached) source.remove();
  const { width, height } = source.viewBox.baseVal;
  const background = drawn("rect", { width, height, fill: color("card") });
  copy.prepend(background);
  set(copy, { xmlns: SVG, width, height }, []);
  return { text: new XMLSerializer().serializeToString(copy), width, height };
}

function save(what, kind) {
  if (kind === "csv") download(`${what}.csv`, csv(TABLES[what]()), "text/csv;charset=utf-8");
  else savePicture(PICTURES[what](), what, kind);
}

async function savePicture(source, what, kind) {
  const { text, width, height } = standalone(source);
  if (kind === "svg") return download(`${what}.svg`, text, "image/svg+xml");
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * width, 2 * height];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => download(`${what}.png`, blob, "image/png"));
}

for (const button of document.querySelectorAll("[data-save]")) {
  button.addEventListener("click", () => save(button.dataset.save, button.dataset.kind));
}
