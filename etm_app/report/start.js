// What is true of the whole page, and its first picture.

function setTheme(dark) {
  root.classList.toggle("dark", dark);
  byId("theme").setAttribute("aria-pressed", String(dark));
  if (state.view === "similarity") paintSimilarity();
}

// A browser may keep nothing for a file, or refuse even to say.
const kept = {
  read() {
    try {
      return localStorage.getItem("etm-theme");
    } catch {
      return null;
    }
  },
  write(theme) {
    try {
      localStorage.setItem("etm-theme", theme);
    } catch { /* then it is asked anew */ }
  },
};

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
setTheme(kept.read() ? kept.read() === "dark" : prefersDark.matches);
prefersDark.addEventListener("change", (change) => { if (!kept.read()) setTheme(change.matches); });
byId("theme").addEventListener("click", () => {
  const dark = !root.classList.contains("dark");
  setTheme(dark);
  kept.write(dark ? "dark" : "light");
});

let darkBeforePrint = false;
addEventListener("beforeprint", () => {
  darkBeforePrint = root.classList.contains("dark");
  if (darkBeforePrint) setTheme(false);
  for (const paint of Object.values(painters)) paint();
});
addEventListener("afterprint", () => { if (darkBeforePrint) setTheme(true); });

byId("close").addEventListener("click", () => (history.state.place > 0 ? history.back() : go(state.view)));
byId("rename").addEventListener("click", () => rename(state.topic, byId("topic-name").firstChild));
for (const button of document.querySelectorAll("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
byId("panel").addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (narrow.matches) return byId("close").click();
  const here = byId(state.view).querySelector(`a[href="#topic-${state.topic}"]`);
  if (here) here.focus();
});
byId("lambda").addEventListener("input", () => {
  state.lambda = Number(byId("lambda").value);
  byId("lambda-value").textContent = state.lambda.toFixed(2).replace(/0$/, "");
  showTopicWords();
});
addEventListener("resize", debounced(() => painters[state.view]?.()));

history.scrollRestoration = "manual";
root.classList.add("js");
takeNames();
addEventListener("scrollend", () => history.replaceState({ ...history.state, scroll: scrollY }, ""));
{
  const { place = 0, scroll } = history.state ?? {};
  const target = resume(history.state ?? {});
  history.replaceState({ ...state, place }, "");
  show();
  if (scroll !== undefined) scrollTo({ top: scroll, behavior: "instant" });
  else if (target) arrive(target);
  else if (/^#topic-/.test(location.hash) && state.view === "list" && !narrow.matches) byId(`topic-${state.topic}`).scrollIntoView({ block: "center" });
}
