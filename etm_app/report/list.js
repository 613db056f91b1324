// The list of all topics: searched, sorted, folded, renamed.

const table = byId("topics");
const bodies = [...table.tBodies];
const rows = new Map([...table.querySelectorAll("tr[data-topic]")].map((row) => [Number(row.dataset.topic), row]));
const home = bodies.map((body) => [...body.rows]); // where the rows are by similarity
const ROW_WORDS = 10;

const topicsListed = (which = "") => [...table.querySelectorAll(`tr[data-topic]${which}`)].map((row) => Number(row.dataset.topic));
const rowsShown = () => topicsListed(":not([hidden])");
const rowsInOrder = () => {
  const shown = rowsShown();
  return shown.includes(state.topic) ? shown : tree;
};

const haystacks = new Map();
function haystack(topic) {
  if (!haystacks.has(topic)) {
    const { top, labels } = topics[topic];
    haystacks.set(topic, [String(topic), nameOf(topic), ...top, ...labels.filter(([, share]) => share >= data.least_label).map(([label]) => data.labels[label])].join("\n").toLowerCase());
  }
  return haystacks.get(topic);
}

function changedNames() {
  haystacks.clear();
}

const termsOf = (field) => field.value.toLowerCase().split(/\s+/).filter(Boolean);

// The words of a row: those that match first said so, also where they are not among the first.
function showRowWords(topic, terms) {
  const cell = rows.get(topic).querySelector(".words");
  const matching = (word) => terms.some((term) => word.toLowerCase().includes(term));
  for (const shown of rows.get(topic).querySelectorAll(".labels span")) {
    shown.classList.toggle("found", terms.some((term) => shown.title.toLowerCase().includes(term)));
  }
  const { top } = topics[topic];
  if (cell.dataset.marked === undefined && !top.some(matching)) return;
  const shown = [...top.slice(0, ROW_WORDS), ...top.slice(ROW_WORDS).filter(matching)];
  cell.replaceChildren(...shown.flatMap((word) => [matching(word) ? element("mark", {}, word) : word, " "]));
  if (terms.length) cell.dataset.marked = "";
  else delete cell.dataset.marked;
}

// Those in sight at once, the others with the next frames, so that typing is not held up.
const ROWS_AT_ONCE = 25;
let marking = 0;
function markRows(shown, terms) {
  cancelAnimationFrame(marking);
  for (const topic of shown.slice(0, ROWS_AT_ONCE)) showRowWords(topic, terms);
  if (shown.length > ROWS_AT_ONCE) marking = requestAnimationFrame(() => markRows(shown.slice(ROWS_AT_ONCE), terms));
}

// Words with any of these texts, the word itself first, then beginnings, then the rest.
function matchingWords(terms) {
  const found = [];
  for (let number = 0; number < data.num_looked_up; number++) {
    const word = lowerWords[number];
    let rank = 3;
    for (const term of terms) {
      const at = word.indexOf(term);
      if (at >= 0) rank = Math.min(rank, word.length === term.length ? 0 : at ? 2 : 1);
    }
    if (rank < 3) found.push([rank, number]);
  }
  return found.sort((one, other) => one[0] - other[0] || one[1] - other[1]).map(([, number]) => number);
}
const lowerWords = words.slice(0, data.num_looked_up).map((word) => word.toLowerCase());

const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

function search() {
  const field = byId("query");
  const terms = termsOf(field);
  let found = 0;
  for (const [topic, row] of rows) {
    const matches = terms.every((term) => haystack(topic).includes(term));
    if (row.hidden === matches) row.hidden = !matches;
    found += matches;
  }
  markRows(rowsShown(), terms);
  table.classList.toggle("searching", terms.length > 0);
  for (const body of bodies) {
    let part = null;
    for (const row of body.rows) {
      if (row.matches(".family")) row.hidden = terms.length > 0 && !body.querySelector("tr[data-topic]:not([hidden])");
      else if (row.matches(".part")) (part = row).hidden = terms.length > 0;
      else if (part && !row.hidden) part.hidden = false;
    }
  }
  table.hidden = !found;
  const matching = terms.length ? matchingWords(terms) : [];
  const text = field.value.trim();
  byId("found").textContent = !terms.length ? ""
    : found ? `${count(found, "topic", "topics")} of ${topics.length}, ${count(matching.length, "word", "words")}`
      : `No topic has “${text}” in its name, its ${BARS} most relevant words or its labels (of ${percent(data.least_label)} or more)` +
        (matching.length ? `; ${count(matching.length, "word matches", "words match")}.` : `, and no word that can be looked up matches.`);
  byId("matches").replaceChildren(...matching.slice(0, 16).map((number) =>
    element("li", {}, element("a", { href: wordAddress(number) }, words[number]))));
}

const ORDERS = {
  share: (one, other) => shareOf(other) - shareOf(one),
  coherence: (one, other) => (topics[other].coherence ?? -2) - (topics[one].coherence ?? -2),
  name: (one, other) => nameOf(one).localeCompare(nameOf(other)),
  number: (one, other) => one - other,
};

function sort() {
  const order = byId("order").value;
  const byTree = order === "similarity";
  if (byTree) bodies.forEach((body, place) => body.replaceChildren(...home[place]));
  else {
    const sorted = [...rows.keys()].sort((one, other) => ORDERS[order](one, other) || one - other);
    bodies.forEach((body) => body.replaceChildren());
    bodies[0].replaceChildren(...sorted.map((topic) => rows.get(topic)));
  }
  table.classList.toggle("flat", !byTree);
  byId("fold")?.toggleAttribute("disabled", !byTree);
  for (const button of table.querySelectorAll("[data-order]")) {
    const direction = button.dataset.order === "number" ? "ascending" : "descending";
    if (button.dataset.order === order) button.closest("th").setAttribute("aria-sort", direction);
    else button.closest("th").removeAttribute("aria-sort");
  }
  search();
}

function fold(body, folded) {
  body.classList.toggle("folded", folded);
  body.querySelector(".family button")?.setAttribute("aria-expanded", String(!folded));
}

byId("query").addEventListener("input", debounced(search));
byId("order").addEventListener("change", sort);
byId("fold")?.addEventListener("click", () => {
  const folded = byId("fold").getAttribute("aria-pressed") !== "true";
  byId("fold").setAttribute("aria-pressed", String(folded));
  for (const body of bodies) fold(body, folded);
});
table.addEventListener("click", (event) => {
  const family = event.target.closest(".family button");
  if (family) return fold(family.closest("tbody"), family.getAttribute("aria-expanded") === "true");
  const heading = event.target.closest("[data-order]");
  if (heading) {
    byId("order").value = byId("order").value === heading.dataset.order ? "similarity" : heading.dataset.order;
    return sort();
  }
  const row = event.target.closest("tr[data-topic]");
  if (row && !event.target.closest("a, input")) go(`topic-${row.dataset.topic}`);
});
table.addEventListener("dblclick", (event) => {
  const place = event.target.closest("[data-name]");
  if (place) rename(Number(place.dataset.name), place);
});
// Up and down from topic to topic, F2 renames.
table.addEventListener("keydown", (event) => {
  const row = event.target.closest("tr[data-topic]");
  if (!row || event.target.matches("input")) return;
  if (event.key === "F2") return rename(Number(row.dataset.topic), row.querySelector("[data-name]"));
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const links = [...table.querySelectorAll("a.topic")].filter((link) => link.offsetParent !== null);
  links[links.indexOf(row.querySelector("a.topic")) + by]?.focus();
});
