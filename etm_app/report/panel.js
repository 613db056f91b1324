// Beside every view: the chosen topic, or the chosen word.

const BARS = 20;

// Rows of {name, href, amount, width, all, group}: a name, a bar (and one for all behind it), a number.
function showBars(list, rows) {
  list.replaceChildren(...rows.map((row) => {
    const track = element("span", { class: "track", "aria-hidden": "true" });
    for (const [kind, width] of [["all", row.all], ["own", row.width]]) {
      if (width === undefined) continue;
      const bar = element("i", { class: kind });
      bar.style.width = `${Math.max(100 * width, width > 0 ? 0.4 : 0)}%`;
      track.append(bar);
    }
    const label = row.topic === undefined
      ? element(row.href ? "a" : "span", { class: "link", title: row.name, ...(row.href ? { href: row.href } : {}), ...row.attributes }, row.name)
      : topicLink(row.topic);
    return element("li", row.topic === undefined ? {} : { class: `g${topics[row.topic].group}` }, label, track,
      element("span", { class: "amount" }, row.amount));
  }));
}

const wordLink = (number) => (number < data.num_looked_up ? { href: wordAddress(number) } : {});

// Relevance of Sievert and Shirley (2014): lambda log p(w|t) + (1 - lambda) log lift = log p(w|t) - (1 - lambda) log p(w).
function relevantWords(topic) {
  const { words: candidates, probability } = topics[topic];
  // At the model's own lambda they come in its order, which rounded numbers might not give.
  if (state.lambda === data.relevance) return [...candidates.keys()].slice(0, BARS);
  return candidates
    .map((word, place) => [Math.log(probability[place]) - (1 - state.lambda) * Math.log(data.frequency[word]), place])
    .sort((one, other) => other[0] - one[0])
    .slice(0, BARS)
    .map(([, place]) => place);
}

function showTopicWords() {
  const topic = topics[state.topic];
  const rows = relevantWords(state.topic).map((place) => {
    const word = topic.words[place];
    const own = shareOf(state.topic) * topic.probability[place];
    return { word, own, all: Math.max(data.probability[word], own), probability: topic.probability[place] };
  });
  const most = Math.max(...rows.map((row) => row.all));
  showBars(byId("topic-words"), rows.map((row) => ({
    name: words[row.word], ...wordLink(row.word), width: row.own / most, all: row.all / most, amount: tiny(row.probability),
    attributes: { onmouseenter: () => spotlight(row.word), onfocus: () => spotlight(row.word), onmouseleave: () => spotlight(), onblur: () => spotlight() },
  })));
}

const textOf = (article) => article.querySelector("p:last-of-type").textContent;

function showTopic() {
  const topic = topics[state.topic];
  byId("topic-name").className = `g${topic.group}`;
  byId("topic-name").replaceChildren(named(state.topic));
  const facts = [["topic", String(state.topic)]];
  if (knownShares) facts.push(["of all tokens", percent(topic.share)], ["rank", `${ranking.indexOf(state.topic) + 1} of ${topics.length}`]);
  if (topic.coherence !== null) facts.push(["coherence", signed(topic.coherence)]);
  byId("topic-facts").replaceChildren(
    ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  showTopicWords();
  byId("document-part").hidden = !topic.typical.length;
  byId("topic-documents").replaceChildren(...topic.typical.slice(0, 3).map(([place, share]) => {
    const article = byId(`document-${place}`);
    return element("li", {},
      element("a", { href: `#document-${place}` }, article.querySelector("h3").textContent), " ",
      element("span", { class: "amount" }, tiny(share)),
      element("p", {}, textOf(article)));
  }));
  showBars(byId("topic-similar"), topic.similar.map(([other, similarity]) => (
    { topic: other, width: Math.max(similarity, 0), amount: signed(similarity) })));
  byId("label-part").hidden = !topic.labels.length;
  showBars(byId("topic-labels"), topic.labels.map(([label, share]) => (
    { name: data.labels[label], width: share / topic.labels[0][1], amount: percent(share) })));
  showBars(byId("topic-nearest"), topic.nearest.map((word, place) => ({
    name: words[word], ...wordLink(word), width: Math.max(topic.cosine[place] / topic.cosine[0], 0), amount: signed(topic.cosine[place]),
  })));
}

function showWord() {
  const cosines = data.cosines[state.word];
  byId("word-name").textContent = words[state.word];
  showBars(byId("word-topics"), data.topics_of[state.word].map(([topic, hundredths]) => (
    { topic, width: hundredths / 100, amount: `${hundredths}%` })));
  showBars(byId("word-neighbors"), data.neighbors[state.word].map((word, place) => (
    { name: words[word], ...wordLink(word), width: Math.max(cosines[place] / cosines[0], 0), amount: signed(cosines[place]) })));
}

function showPanel() {
  const isWord = state.word !== null;
  byId("topic-panel").hidden = isWord;
  byId("word-panel").hidden = !isWord;
  byId("rename").hidden = isWord;
  if (isWord) showWord();
  else showTopic();
  byId("panel").scrollTop = 0;
}

// The topics in the order of the list, whatever it is.
function step(by) {
  const shown = rowsInOrder();
  const place = shown.indexOf(state.topic) + by;
  go(`topic-${shown[(place + shown.length) % shown.length]}`);
}
