// What all parts of the page share: data, small helpers, and where one is.
// Everything that is shown from the data is set as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const { words, topics } = data;
const byId = (id) => document.getElementById(id);
const knownShares = topics[0].share !== null;
const shareOf = (topic) => (knownShares ? topics[topic].share : 1 / topics.length);
const ranking = topics.map((_, topic) => topic).sort((one, other) => shareOf(other) - shareOf(one) || one - other);
const tree = data.families.flatMap(({ parts }) => parts.flatMap((part) => part.topics));
const numberOf = new Map(words.slice(0, data.num_looked_up).map((word, number) => [word, number]));
const SVG = "http://www.w3.org/2000/svg";

const drawn = (tag, attributes = {}, ...children) => set(document.createElementNS(SVG, tag), attributes, children);

const percent = (value) => (100 * value).toFixed(value < 0.0995 ? 1 : 0) + "%";
const tiny = (value) => (value >= 0.001 ? percent(value) : value ? (100 * value).toPrecision(1) + "%" : "0%");
const signed = (value) => value.toFixed(2).replace("-", "−");
const wordAddress = (number) => `#word-${encodeURIComponent(words[number])}`;

// Names: the model's, and those that the user gives here.

const given = new Map();
const nameOf = (topic) => given.get(topic) ?? topics[topic].name;
const title = (topic) => `${topic} · ${nameOf(topic)}`;
const named = (topic) => element("span", { "data-name": topic }, nameOf(topic));

function topicLink(topic) {
  return element("a", { href: `#topic-${topic}`, class: `topic g${topics[topic].group}` },
    element("span", { class: "of" }, String(topic)), " ", named(topic));
}

function name(topic, text) {
  const wanted = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim(); // a line, which --topics.names takes
  if (wanted && wanted !== topics[topic].name) given.set(topic, wanted);
  else given.delete(topic);
  for (const place of document.querySelectorAll(`[data-name="${topic}"]`)) place.textContent = nameOf(topic);
  changedNames();
}

// A name becomes a field until Enter, Escape, or something else is chosen.
function rename(topic, place) {
  const field = element("input", { type: "text", class: "rename", "aria-label": `Name of topic ${topic}`, maxlength: 100 });
  field.value = nameOf(topic);
  const link = place.closest("a, h2");
  let open = true;
  function close(keep) {
    if (!open) return true;
    const wanted = field.value.trim();
    if (keep && topics.some((_, other) => other !== topic && nameOf(other) === wanted)) {
      field.setCustomValidity("Another topic has this name.");
      return field.reportValidity(); // false
    }
    open = false;
    field.remove();
    link.hidden = false;
    if (keep && field.value !== nameOf(topic)) {
      name(topic, field.value);
      history.replaceState(history.state, "", address(here()));
      painters[state.view]?.(); // pictures have names too
    }
    return true;
  }
  field.addEventListener("input", () => field.setCustomValidity(""));
  field.addEventListener("blur", () => { if (!close(true)) close(false); });
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" && event.key !== "Escape") return;
    if (close(event.key === "Enter")) link.focus();
  });
  link.after(field);
  link.hidden = true;
  field.select();
}

// Where one is: a view, a topic or a word beside it. The address says it, so that Back and links work.

const state = { view: "list", topic: ranking[0], word: null, panel: false, kind: "all", lambda: data.relevance };
const views = [...document.querySelectorAll("#views > section")].map((section) => section.id);
const painters = {}; // what there is to do when a view is shown, by its name
const focused = []; // where the focus was, by place in the history
const narrow = matchMedia("(max-width: 980px)");

function address(anchor) {
  const names = [...given].map(([topic, text]) => `&name-${topic}=${encodeURIComponent(text)}`);
  return `#${anchor}${names.join("")}`;
}

// The part of the address that says where one is, without names.
const here = () => location.hash.slice(1).split("&")[0];

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// What an address means, from where one is: [changes of the state, element to go to].
function meaning(anchor) {
  const [, topic] = /^topic-(\d+)$/.exec(anchor) ?? [];
  const aside = state.view === "run" ? "list" : state.view;
  if (topic !== undefined && topics[topic]) return [{ view: aside, topic: Number(topic), word: null, panel: true }];
  if (anchor.startsWith("word-") && numberOf.has(decoded(anchor.slice(5)))) {
    return [{ view: aside, word: numberOf.get(decoded(anchor.slice(5))), panel: true }];
  }
  const [, kind] = /^documents-(all|topic|typical|mixed)$/.exec(anchor) ?? [];
  if (kind) return [{ view: "documents", kind, panel: false }];
  if (views.includes(anchor)) return [{ view: anchor, panel: false }];
  const target = anchor && byId(decoded(anchor));
  const view = target && target.closest("#views > section");
  return view ? [{ view: view.id, panel: false, ...(view.id === "documents" ? { kind: "all" } : {}) }, target] : [{}];
}

// Of what the history has kept, that which is here: the file may have been written anew since. The address is heeded most.
function resume({ place, scroll, lambda, ...kept }) {
  const isThere = {
    view: (view) => views.includes(view),
    topic: (topic) => topics[topic] !== undefined,
    word: (word) => word === null || word < data.num_looked_up,
  };
  for (const [name, value] of Object.entries(kept)) if (isThere[name]?.(value) ?? true) state[name] = value;
  const [changes, target] = meaning(here());
  Object.assign(state, changes);
  return target;
}

function go(anchor, byKeyboard = false) {
  const before = { ...state };
  const [changes, target] = meaning(anchor);
  focused[history.state.place] = document.activeElement;
  history.replaceState({ ...history.state, scroll: scrollY }, "");
  Object.assign(state, changes);
  history.pushState({ ...state, place: history.state.place + 1 }, "", address(anchor));
  const fromPanel = byId("panel").contains(document.activeElement);
  show(before);
  if (target) arrive(target);
  else if (state.view !== before.view || (narrow.matches && state.panel)) toTop();
  else if (state.view === "list" && !narrow.matches) byId(`topic-${state.topic}`).scrollIntoView({ block: "nearest" });
  if (changes.panel && (narrow.matches || byKeyboard || fromPanel)) heading().focus({ preventScroll: true });
  else if (state.view !== before.view && !target && byKeyboard) focusOn(byId(state.view).querySelector("h2"));
}

const heading = () => byId(state.word === null ? "topic-name" : "word-name");

function focusOn(place) {
  if (!place.hasAttribute("tabindex") && !place.matches("a, button, input, select")) place.tabIndex = -1;
  place.focus({ preventScroll: true });
}

function arrive(target) {
  if (target.hidden) { // a document, by a search
    byId("find").value = "";
    painters.documents();
  }
  target.scrollIntoView({ block: "start" });
  focusOn(target);
}

function toTop() {
  const top = document.querySelector("main").offsetTop - document.querySelector("nav").offsetHeight;
  scrollTo({ top: Math.min(scrollY, top), behavior: "instant" });
}

function show(before = {}) {
  for (const id of views) byId(id).toggleAttribute("hidden", id !== state.view);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${state.view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  root.classList.toggle("in-panel", state.panel);
  root.classList.toggle("in-run", state.view === "run");
  if (state.topic !== before.topic || state.word !== before.word) showPanel();
  if (state.topic !== before.topic) markTopic();
  painters[state.view]?.();
}

function markTopic() {
  for (const row of document.querySelectorAll("#topics tr[aria-current]")) row.removeAttribute("aria-current");
  byId(`topic-${state.topic}`).setAttribute("aria-current", "true");
}

addEventListener("popstate", (event) => {
  const before = { ...state };
  if (event.state) {
    resume(event.state);
    history.replaceState(event.state, "", address(here())); // names may have been given since
    show(before);
    scrollTo({ top: event.state.scroll ?? 0, behavior: "instant" });
    const place_before = focused[event.state.place];
    if (place_before?.isConnected && place_before.offsetParent !== null) place_before.focus({ preventScroll: true });
    return;
  }
  history.replaceState({ ...state, place: 0 }, ""); // an address typed by hand
  takeNames();
  const target = resume({});
  show(before);
  if (target) arrive(target);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#']");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (!link.matches(".skip")) return go(link.getAttribute("href").slice(1), event.detail === 0);
  const first = byId(state.view).querySelector("input, a, button") ?? byId(state.view);
  focusOn(first);
});

function takeNames() {
  for (const part of location.hash.split("&").slice(1)) {
    const [, topic, text] = /^name-(\d+)=(.*)$/.exec(part) ?? [];
    if (topics[topic]) name(Number(topic), decoded(text));
  }
}

function debounced(action) {
  let waiting = 0;
  return () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(action);
  };
}
