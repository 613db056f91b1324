"use strict";
// Everything that is shown from the data is set as text, never as markup; Plotly, which knows some, gets escaped text.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { words, topics } = data;
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const BARS = 20;
  const state = { topic: 0, word: 0, lambda: data.relevance };

  const ranking = topics.map((_, topic) => topic).sort((one, other) => topics[other].share - topics[one].share || one - other);
  const knownShares = topics[0].share !== null;
  const numberOf = new Map(words.slice(0, data.num_looked_up).map((word, number) => [word, number]));
  const drawnAt = new Map(data.map.words.map((word, place) => [word, place]));

  // Small helpers of the page

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") made.className = value;
      else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }
  const percent = (value) => (100 * value).toFixed(value < 0.0995 ? 1 : 0) + "%";
  const tiny = (value) => (value >= 0.001 ? percent(value) : value ? (100 * value).toPrecision(1) + "%" : "0%");
  const title = (topic) => `${topic} · ${topics[topic].name}`;
  const color = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function button(text, action, attributes = {}) {
    return element("button", { type: "button", class: "link", title: text, onclick: action, ...attributes }, text);
  }

  // Rows of {name, action, amount, width, all, group}: a name, a bar (and one for all behind it), a number.
  function showBars(list, rows) {
    list.replaceChildren(
      ...rows.map((row) => {
        const track = element("span", { class: "track", "aria-hidden": "true" });
        for (const [kind, width] of [["all", row.all], ["own", row.width]]) {
          if (width === undefined) continue;
          const bar = element("i", { class: kind });
          bar.style.width = `${Math.max(100 * width, width > 0 ? 0.4 : 0)}%`;
          track.append(bar);
        }
        const name = row.action
          ? button(row.name, row.action, row.attributes)
          : element("span", { class: "link", title: row.name }, row.name);
        return element("li", row.group === undefined ? {} : { class: `g${row.group}` }, name, track,
          element("span", { class: "amount" }, row.amount));
      })
    );
  }

  function wordAction(number) {
    return number < data.num_looked_up ? () => showWord(number, true) : undefined;
  }

  // Topics

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
    const share = knownShares ? topic.share : 1 / topics.length;
    const rows = relevantWords(state.topic).map((place) => {
      const word = topic.words[place];
      const own = share * topic.probability[place];
      return { word, own, all: Math.max(data.probability[word], own), probability: topic.probability[place] };
    });
    const most = Math.max(...rows.map((row) => row.all));
    showBars(byId("topic-words"), rows.map((row) => ({
      name: words[row.word],
      action: wordAction(row.word),
      attributes: { onmouseenter: () => spotlight(row.word), onfocus: () => spotlight(row.word), onmouseleave: () => spotlight(), onblur: () => spotlight() },
      width: row.own / most, all: row.all / most, amount: tiny(row.probability),
    })));
  }

  const overlapOf = (() => {
    const place = new Map(data.overlap.order.map((topic, at) => [topic, at]));
    return (one, other) => {
      const [low, high] = [place.get(one), place.get(other)].sort((a, b) => a - b);
      return low === high ? 1 : data.overlap.hundredths[high][low] / 100;
    };
  })();

  function showTopic(chosen) {
    state.topic = chosen;
    const topic = topics[chosen];
    byId("pick").value = String(chosen);
    for (const shown of [byId("topic-name"), byId("topics")]) {
      shown.className = `g${topic.group}`;
    }
    byId("topic-name").textContent = topic.name;
    const facts = [["topic", String(chosen)]];
    if (knownShares) facts.push(["share", percent(topic.share)], ["rank", `${ranking.indexOf(chosen) + 1} of ${topics.length}`]);
    if (topic.coherence !== null) facts.push(["coherence", topic.coherence.toFixed(2)]);
    byId("topic-facts").replaceChildren(
      ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
    showTopicWords();
    showBars(byId("topic-nearest"), topic.nearest.map((word, place) => ({
      name: words[word], action: wordAction(word), width: Math.max(topic.cosine[place] / topic.cosine[0], 0), amount: topic.cosine[place].toFixed(2),
    })));
    showBars(byId("topic-neighbors"), topic.neighbors.map(([other, overlap]) => topicRow(other, overlap, overlap.toFixed(2))));
    byId("label-card").hidden = !topic.labels.length;
    const most = topic.labels.length ? topic.labels[0][1] : 1;
    showBars(byId("topic-labels"), topic.labels.map(([label, share]) => ({
      name: data.labels[label], width: share / most, amount: percent(share),
    })));
    byId("document-card").hidden = !topic.documents.length;
    byId("topic-documents").replaceChildren(...topic.documents.map(([place, theta]) => documentItem(place, percent(theta))));
    for (const tag of document.querySelectorAll("[data-topic]")) {
      tag.toggleAttribute("aria-current", Number(tag.dataset.topic) === chosen);
    }
    paintMap();
    paintOverlap();
  }

  function topicRow(topic, width, amount) {
    return { name: title(topic), action: () => showTopic(topic), width, amount, group: topics[topic].group };
  }

  function documentItem(place, amount) {
    const { id, label, text, words: bag } = data.documents[place];
    const head = element("h4", {}, id);
    if (label) head.append(element("span", {}, label));
    if (amount) head.append(element("span", {}, amount));
    const item = element("li", {}, head);
    if (text) item.append(element("p", {}, text));
    else item.append(element("p", { class: "bag" }, bag.length ? bag.join(" ") : "no words"));
    return item;
  }

  function step(by) {
    const place = ranking.indexOf(state.topic) + by;
    showTopic(ranking[(place + ranking.length) % ranking.length]);
  }

  // Words

  function showWord(number, scroll) {
    state.word = number;
    byId("word-name").textContent = words[number];
    showBars(byId("word-neighbors"), data.neighbors[number].map((word, place) => ({
      name: words[word], action: wordAction(word), width: Math.max(data.cosines[number][place] / data.cosines[number][0], 0), amount: data.cosines[number][place].toFixed(2),
    })));
    showBars(byId("word-topics"), data.topics_of[number].map(([topic, hundredths]) => ({
      ...topicRow(topic, hundredths / 100, `${hundredths}%`),
      action: () => { showTopic(topic); byId("topics").scrollIntoView(); },
    })));
    if (scroll) {
      byId("query").value = words[number];
      search();
      byId("words").scrollIntoView();
    }
  }

  function search() {
    const query = byId("query").value.trim().toLowerCase();
    const found = [];
    if (query) {
      for (let number = 0; number < data.num_looked_up; number++) {
        const at = words[number].toLowerCase().indexOf(query);
        if (at >= 0) found.push([words[number].length === query.length ? -1 : Math.min(at, 1), number]);
      }
      found.sort((one, other) => one[0] - other[0] || one[1] - other[1]); // the word itself, beginnings, the rest
    }
    const shown = found.slice(0, 16).map(([, number]) => number);
    byId("query-state").textContent = !query ? "" : `${found.length.toLocaleString("en")} ${found.length === 1 ? "match" : "matches"}`;
    byId("matches").replaceChildren(...shown.map((number) => {
      const chip = button(words[number], () => { showWord(number); search(); }, { class: "" });
      if (number === state.word) chip.setAttribute("aria-current", "true");
      return element("li", {}, chip);
    }));
    return shown;
  }

  // Documents

  function showExamples() {
    const list = byId("examples");
    if (!list) return;
    list.replaceChildren(...data.examples.map(({ document: place, topics: shares }) => {
      const item = documentItem(place);
      const large = shares.filter(([, share]) => share >= 0.05);
      const bar = element("div", { class: "theta", "aria-hidden": "true" });
      for (const [topic, share] of large) {
        const piece = element("i", { class: `g${topics[topic].group}`, title: `${title(topic)}: ${percent(share)}` });
        piece.style.flex = `${share} 0 0`;
        bar.append(piece);
      }
      const rest = element("i", { class: "rest" });
      rest.style.flex = `${Math.max(1 - large.reduce((sum, [, share]) => sum + share, 0), 0)} 0 0`;
      bar.append(rest);
      const legend = element("ul", { class: "legend" }, ...large.map(([topic, share]) =>
        element("li", { class: `g${topics[topic].group}` },
          button(title(topic), () => { showTopic(topic); byId("topics").scrollIntoView(); }), " ",
          element("span", {}, percent(share)))));
      item.firstChild.after(bar, legend);
      return item;
    }));
  }

  // Pictures, once Plotly is there

  const font = () => ({ family: getComputedStyle(document.body).fontFamily, color: color("ink"), size: 12 });
  const still = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
  const touch = matchMedia("(pointer: coarse)").matches;
  const MARGIN = 14;
  let mapReady = false;
  let overlapReady = false;

  const measure = document.createElement("canvas").getContext("2d");
  const baseLayout = () => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: font(), showlegend: false, hovermode: "closest",
    margin: { l: MARGIN, r: MARGIN, t: MARGIN, b: MARGIN },
  });

  function radii(width) {
    const shares = topics.map((topic) => (knownShares ? topic.share : 1 / topics.length));
    const largest = Math.max(...shares);
    // The circles together fill a thirteenth of the picture at most, the largest of few not too much of it.
    const scale = Math.min(width / 16, Math.sqrt((0.075 * width * byId("map").clientHeight) / Math.PI * largest));
    return shares.map((share) => Math.max(scale * Math.sqrt(share / largest), 3.5));
  }

  // Where a label may go instead of its own place, in pixels: places on a spiral, the nearest first.
  const SPIRAL = Array.from({ length: 90 }, (_, turn) => {
    const [angle, far] = [2.4 * turn, 5.2 * Math.sqrt(turn)];
    return [1.7 * far * Math.cos(angle), far * Math.sin(angle)];
  });

  // Names of topics and words, the most important first, each as near to its point as it can be written without
  // touching another one; "" for those that find no place at this zoom. Offsets in pixels.
  function placeLabels(range) {
    const box = byId("map");
    const [width, height] = [box.clientWidth - 2 * MARGIN, box.clientHeight - 2 * MARGIN];
    const perX = (range.x[1] - range.x[0]) / width;
    const perY = (range.y[1] - range.y[0]) / height;
    const family = getComputedStyle(document.body).fontFamily;
    const taken = [[width - 210, -MARGIN, width + MARGIN, 30]]; // the buttons
    function place(text, point, high, spiral) {
      const [x, y] = [(point[0] - range.x[0]) / perX, (range.y[1] - point[1]) / perY];
      const half = measure.measureText(text).width / 2 + 3;
      if (x < 0 || x > width || y < 0 || y > height) return null;
      for (const [byX, byY] of spiral) {
        const [left, top, right, bottom] = [x + byX - half, y + byY - high, x + byX + half, y + byY + high];
        if (left < 0 || right > width || top < 0 || bottom > height) continue;
        if (taken.some((other) => left < other[2] && right > other[0] && top < other[3] && bottom > other[1])) continue;
        taken.push([left, top, right, bottom]);
        return [point[0] + byX * perX, point[1] - byY * perY];
      }
      return null;
    }
    measure.font = `600 13px ${family}`;
    const names = new Array(topics.length).fill(null);
    for (const topic of [state.topic, ...ranking]) {
      names[topic] ??= place(mapName(topic), topics[topic].point, 9, SPIRAL.slice(0, 40));
    }
    measure.font = `11.5px ${family}`;
    const labels = data.map.words.map((word, at) => place(words[word], data.map.points[at], 7.5, SPIRAL));
    return { names, labels };
  }

  // Fewer of the words where these are the name; a name that was given is there as a whole.
  const mapName = (topic) => {
    const short = topics[topic].top.slice(0, topics.length > 80 ? 1 : 2).join(" ");
    return topics[topic].name.startsWith(short) ? short : topics[topic].name;
  };

  function mapRange() {
    const layout = byId("map").layout;
    return layout && layout.xaxis.range ? { x: [...layout.xaxis.range], y: [...layout.yaxis.range] } : { x: [-0.04, 1.04], y: [-0.04, 1.04] };
  }

  function mapTraces() {
    const { names, labels } = placeLabels(mapRange());
    const radius = radii(byId("map").clientWidth);
    const own = new Set(topics[state.topic].words);
    const [ink, soft, card] = ["ink", "soft", "card"].map(color);
    const groups = Array.from({ length: 8 }, (_, group) => color(`g${group}`));
    const placed = labels.flatMap((label, at) => (label ? [at] : []));
    const unplaced = labels.flatMap((label, at) => (label ? [] : [at]));
    const named = names.flatMap((name, topic) => (name ? [topic] : []));
    const wordColor = (at) => groups[topics[data.map.topics[at]].group];
    return [
      {
        type: "scatter", mode: "markers", hoverinfo: "none", cliponaxis: false,
        x: topics.map((topic) => topic.point[0]), y: topics.map((topic) => topic.point[1]),
        marker: {
          size: radius.map((value) => 2 * value), color: topics.map((topic) => groups[topic.group]),
          opacity: opacities(),
          line: { width: topics.map((_, topic) => (topic === state.topic ? 2.5 : 0)), color: ink },
        },
      },
      {
        type: "scatter", mode: "markers", hoverinfo: "none",
        x: unplaced.map((at) => data.map.points[at][0]), y: unplaced.map((at) => data.map.points[at][1]),
        customdata: unplaced, marker: { size: 3, opacity: 0.6, color: unplaced.map(wordColor) },
      },
      {
        type: "scatter", mode: "markers+text", hoverinfo: "none", marker: { size: 12, opacity: 0 },
        x: placed.map((at) => labels[at][0]), y: placed.map((at) => labels[at][1]), customdata: placed,
        text: placed.map((at) => escaped(words[data.map.words[at]])), textposition: "middle center",
        textfont: {
          size: 11.5, color: placed.map((at) => {
            const word = data.map.words[at];
            return own.has(word) ? ink : soft;
          }),
        },
      },
      {
        type: "scatter", mode: "text", hoverinfo: "skip",
        x: named.map((topic) => names[topic][0]), y: named.map((topic) => names[topic][1]),
        text: named.map((topic) => escaped(mapName(topic))), textposition: "middle center",
        textfont: { size: 13, weight: 600, color: ink, shadow: [1, -1].flatMap((x) => [1, -1].map((y) => `${x}px ${y}px 1px ${card}`)).join(", ") },
      },
    ];
  }

  function mapLayout() {
    const range = mapRange();
    const axis = { visible: false, fixedrange: false };
    return { ...baseLayout(), dragmode: touch ? false : "pan", xaxis: { ...axis, range: range.x }, yaxis: { ...axis, range: range.y } };
  }

  function paintMap() {
    if (mapReady && !byId("view-map").hidden) Plotly.react("map", mapTraces(), mapLayout(), still);
  }

  // Circles stronger where more of a word's occurrences are; of the chosen topic where there is no word.
  function opacities() {
    const shares = state.spotlight === undefined ? null : new Map(data.topics_of[state.spotlight] || []);
    return topics.map((_, topic) => (shares ? 0.08 + 0.8 * ((shares.get(topic) || 0) / 100) : topic === state.topic ? 0.7 : 0.38));
  }

  function spotlight(word) {
    state.spotlight = word;
    if (mapReady) Plotly.restyle("map", { "marker.opacity": [opacities()] }, [0]);
  }

  function zoom(factor) {
    const around = (range) => {
      const [middle, half] = [(range[0] + range[1]) / 2, ((range[1] - range[0]) / 2) * factor];
      return [middle - half, middle + half];
    };
    const range = mapRange();
    const next = factor ? { x: around(range.x), y: around(range.y) } : { x: [-0.04, 1.04], y: [-0.04, 1.04] };
    Plotly.relayout("map", { "xaxis.range": next.x, "yaxis.range": next.y });
  }

  function tip(event, text) {
    const box = byId("tip");
    box.textContent = text;
    box.hidden = !text;
    if (!text) return;
    box.style.left = `${Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8)}px`;
    box.style.top = `${Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8)}px`;
  }

  function drawMap() {
    Plotly.newPlot("map", mapTraces(), mapLayout(), still);
    mapReady = true;
    byId("map").on("plotly_relayout", () => paintMap());
    const wordAt = (point) => data.map.words[point.customdata];
    byId("map").on("plotly_hover", ({ points: [point], event }) => {
      if (!point.curveNumber) {
        const topic = point.pointNumber;
        return tip(event, `Topic ${title(topic)}${knownShares ? ` · ${percent(topics[topic].share)}` : ""}`);
      }
      const word = wordAt(point);
      const topic = word < data.num_looked_up ? data.topics_of[word][0][0] : data.map.topics[point.customdata];
      tip(event, `${words[word]} · most of it in topic ${title(topic)}`);
    });
    byId("map").on("plotly_unhover", ({ event }) => tip(event, ""));
    byId("map").on("plotly_click", ({ points: [point] }) => {
      if (!point.curveNumber) return showTopic(point.pointNumber);
      showTopic(data.map.topics[point.customdata]);
      const word = wordAt(point);
      if (word < data.num_looked_up) {
        showWord(word);
        byId("query").value = words[word];
        search();
      }
    });
  }

  function overlapTrace() {
    const { order, hundredths } = data.overlap;
    const values = hundredths.flat();
    const [low, high] = values.length ? [Math.min, Math.max].map((of) => values.reduce((one, other) => of(one, other)) / 100) : [0, 1];
    const [card, accent] = ["card", "accent"].map(color);
    return [{
      type: "heatmap", hoverinfo: "none", showscale: true, zmin: low, zmax: Math.max(high, low + 0.01),
      z: order.map((one) => order.map((other) => (one === other ? null : overlapOf(one, other)))),
      colorscale: [[0, card], [1, accent]],
      colorbar: { thickness: 10, len: 0.4, outlinewidth: 0, nticks: 4, x: 1.01, tickfont: { color: color("soft"), size: 11 } },
    }];
  }

  function overlapLayout() {
    const axis = { visible: false, fixedrange: true };
    const place = data.overlap.order.indexOf(state.topic);
    const line = { color: color("ink"), width: 1 };
    const shapes = place < 0 ? [] : [
      { type: "rect", x0: -0.5, x1: data.overlap.order.length - 0.5, y0: place - 0.5, y1: place + 0.5, line },
      { type: "rect", y0: -0.5, y1: data.overlap.order.length - 0.5, x0: place - 0.5, x1: place + 0.5, line },
    ];
    return { ...baseLayout(), margin: { l: 28, r: 50, t: 48, b: 28 }, dragmode: false, shapes, xaxis: { ...axis, constrain: "domain" }, yaxis: { ...axis, autorange: "reversed", scaleanchor: "x", constrain: "domain" } };
  }

  function paintOverlap() {
    if (overlapReady && !byId("view-overlap").hidden) Plotly.react("overlap", overlapTrace(), overlapLayout(), still);
  }

  function drawOverlap() {
    Plotly.newPlot("overlap", overlapTrace(), overlapLayout(), still);
    overlapReady = true;
    const pair = ({ points: [point] }) => [data.overlap.order[point.y], data.overlap.order[point.x]];
    byId("overlap").on("plotly_hover", (hover) => {
      const [one, other] = pair(hover);
      tip(hover.event, one === other ? `Topic ${title(one)}` : `${title(one)}  and  ${title(other)}: ${overlapOf(one, other).toFixed(2)}`);
    });
    byId("overlap").on("plotly_unhover", ({ event }) => tip(event, ""));
    byId("overlap").on("plotly_click", (click) => showTopic(pair(click)[0]));
  }

  const CHARTS = [
    ["Negative ELBO", (name) => /^(train|val)_elbo$/.test(name), (value) => -value],
    ["Reconstruction loss", (name) => /^(train|val)_reconstruction_loss$/.test(name)],
    ["KL divergence", (name) => /^(train|val)_kl$/.test(name)],
    ["Perplexity, validation", (name) => name === "val_perplexity"],
    ["Coherence and diversity", (name) => /^val_topic_(coherence|diversity)$/.test(name)],
    ["Topics in use", (name) => name === "val_active_topics"],
  ];

  function drawCharts() {
    const list = byId("charts");
    if (!list) return;
    const shade = (name) => (name.startsWith("train") || name.endsWith("diversity") ? 4 : 0);
    const charts = CHARTS.flatMap(([heading, belongs, change = (value) => value]) => {
      const series = Object.entries(data.history).filter(([name]) => belongs(name));
      return series.length ? [{ heading, series, change, plot: element("div", { class: "plot", role: "img", "aria-label": `${heading} over epochs; the table below has the numbers.` }) }] : [];
    });
    list.replaceChildren(...charts.map(({ heading, series, plot }) => element("figure", {},
      element("figcaption", {}, heading, ...(series.length < 2 ? [] : series.map(([name]) =>
        element("span", { class: `g${shade(name)}` }, name.replace(/^val_topic_/, "").split("_")[0])))),
      plot)));
    const axis = { gridcolor: color("line"), zeroline: false, fixedrange: true, tickfont: { color: color("soft"), size: 11 }, nticks: 5, automargin: true };
    for (const { series, change, plot } of charts) { // when all have their places, and so their sizes
      Plotly.newPlot(plot, series.map(([name, values]) => ({
        type: "scatter", mode: values.length > 40 ? "lines" : "lines+markers", hoverinfo: "x+y", marker: { size: 5 },
        line: { color: color(`g${shade(name)}`), width: 2 },
        x: values.map(([epoch]) => epoch), y: values.map(([, value]) => (value === null ? null : change(value))),
      })), {
        ...baseLayout(), margin: { l: 44, r: 8, t: 10, b: 30 }, dragmode: false, yaxis: axis,
        xaxis: { ...axis, showgrid: false }, hoverlabel: { bgcolor: color("ink"), font: { color: color("paper") } },
      }, still);
    }
  }

  // Views and theme

  function view(chosen) {
    for (const choice of document.querySelectorAll("[data-view]")) {
      const on = choice.dataset.view === chosen;
      choice.setAttribute("aria-pressed", String(on));
      byId(`view-${choice.dataset.view}`).hidden = !on;
    }
    if (chosen === "overlap") overlapReady ? paintOverlap() : drawOverlap();
    if (chosen === "map") paintMap();
  }

  function setTheme(dark) {
    root.classList.toggle("dark", dark);
    byId("theme").setAttribute("aria-pressed", String(dark));
    if (!mapReady) return;
    paintMap();
    paintOverlap();
    drawCharts();
  }

  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(prefersDark.matches);
  prefersDark.addEventListener("change", (change) => setTheme(change.matches));
  let darkBeforePrint = false;
  addEventListener("beforeprint", () => { darkBeforePrint = root.classList.contains("dark"); if (darkBeforePrint) setTheme(false); });
  addEventListener("afterprint", () => { if (darkBeforePrint) setTheme(true); });

  byId("theme").addEventListener("click", () => setTheme(!root.classList.contains("dark")));
  byId("pick").addEventListener("change", () => showTopic(Number(byId("pick").value)));
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("lambda").addEventListener("input", () => {
    state.lambda = Number(byId("lambda").value);
    byId("lambda-value").textContent = state.lambda.toFixed(2).replace(/0$/, "");
    showTopicWords();
  });
  byId("query").addEventListener("input", () => {
    const shown = search();
    if (shown.length) showWord(shown[0]);
  });
  for (const choice of document.querySelectorAll("[data-view]")) choice.addEventListener("click", () => view(choice.dataset.view));
  for (const tag of document.querySelectorAll("[data-topic]")) tag.addEventListener("click", () => showTopic(Number(tag.dataset.topic)));
  for (const tool of document.querySelectorAll("[data-zoom]")) tool.addEventListener("click", () => zoom(Number(tool.dataset.zoom)));
  for (const tool of document.querySelectorAll("[data-save]")) {
    tool.addEventListener("click", () => Plotly.downloadImage(tool.dataset.save, { format: "svg", filename: tool.dataset.save }));
  }
  addEventListener("resize", () => paintMap());

  showTopic(ranking[0]);
  showWord(numberOf.get(topics[ranking[0]].top[0]));
  showExamples();
  addEventListener("DOMContentLoaded", () => {
    drawMap();
    drawCharts();
  });
})();
