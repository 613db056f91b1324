// Documents: found by words, or by what they are of.

const articles = [...document.querySelectorAll("#articles > article")];
const texts = articles.map((article) => `${article.querySelector("h3").textContent}\n${textOf(article)}`.toLowerCase());
const inCorpus = articles.map((_, place) => place);

const KINDS = {
  all: () => inCorpus,
  topic: () => inCorpus.filter((place) => shareIn(place) > 0).sort((one, other) => shareIn(other) - shareIn(one)),
  typical: () => topics[state.topic].typical.map(([place]) => place),
  mixed: () => topics[state.topic].mixed,
};
const shareIn = (place) => data.documents[place].find(([topic]) => topic === state.topic)?.[1] ?? 0;
let listed = inCorpus;

function paintDocuments() {
  if (!articles.length) return;
  byId("kind").value = state.kind;
  const terms = termsOf(byId("find"));
  const wanted = KINDS[byId("kind").value]();
  const found = new Set(wanted.filter((place) => terms.every((term) => texts[place].includes(term))));
  articles.forEach((article, place) => { article.hidden = !found.has(place); });
  const inOrder = [...wanted];
  if (inOrder.some((place, at) => place !== listed[at]) || listed.length !== inOrder.length) {
    const rest = inCorpus.filter((place) => !inOrder.includes(place));
    byId("articles").append(...[...inOrder, ...rest].map((place) => articles[place]));
    listed = inOrder;
  }
  const topic = byId("kind").value === "all" ? "" : ` of topic ${title(state.topic)}`;
  byId("documents-found").textContent = found.size || !terms.length
    ? `${count(found.size, "document", "documents")}${topic}${terms.length ? ` with “${byId("find").value.trim()}”` : ""}`
    : `No document${topic} here has “${byId("find").value.trim()}”: these are ${articles.length.toLocaleString("en")} of the corpus, by their beginnings.`;
}
painters.documents = paintDocuments;

byId("find")?.addEventListener("input", debounced(paintDocuments));
byId("kind")?.addEventListener("change", () => go(`documents-${byId("kind").value}`));
