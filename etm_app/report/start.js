// What is true of the whole page, and its first picture.

followTheme(() => { if (state.view === "similarity") paintSimilarity(); });
addEventListener("beforeprint", () => { for (const paint of Object.values(painters)) paint(); });

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
