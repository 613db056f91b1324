// Topics over time, where the documents have one.

const { periods } = data;

function paintTime() {
  if (!periods) return;
  const chart = byId("time-picture");
  const width = chart.parentElement.clientWidth || 900;
  const [height, left, right, top, bottom] = [isNarrow(width) ? 260 : 320, 48, 16, 14, 34];
  const last = Math.max(periods.names.length - 1, 1);
  const most = periods.shares.flat().reduce((largest, share) => Math.max(largest, share), 1e-9);
  const atX = (period) => left + (period / last) * (width - left - right);
  const atY = (share) => height - bottom - (share / most) * (height - top - bottom);
  const path = (shares) => shares.map((share, period) => `${period ? "L" : "M"}${atX(period).toFixed(1)} ${atY(share).toFixed(1)}`).join("");
  const marks = [];
  for (const share of ticks(0, most, 4)) {
    marks.push(drawn("line", { class: "grid", x1: left, x2: width - right, y1: atY(share), y2: atY(share) }),
      label(`${Number((100 * share).toPrecision(3))}%`, [left - 6, atY(share)], "tick end"));
  }
  const every = Math.ceil(((measured(periods.names.at(-1), 11) + 16) * periods.names.length) / (width - left - right));
  periods.names.forEach((text, period) => {
    if (period % every === 0) marks.push(label(text, [atX(period), height - bottom + 16], "tick"));
  });
  for (const topic of ranking) if (topic !== state.topic) marks.push(drawn("path", { class: "other", d: path(periods.shares[topic]) }));
  const group = topics[state.topic].group;
  marks.push(drawn("path", { class: `line g${group}`, d: path(periods.shares[state.topic]) }));
  periods.shares[state.topic].forEach((share, period) => {
    const tip = drawn("title");
    tip.textContent = `${periods.names[period]}: ${percent(share)} of ${count(periods.documents[period], "document", "documents")}`;
    marks.push(drawn("circle", { class: `dot g${group}`, cx: atX(period), cy: atY(share), r: periods.names.length > 60 ? 2 : 3.5 }, tip));
  });
  set(chart, { viewBox: `0 0 ${width} ${height}`, class: "lines" }, []);
  chart.replaceChildren(...marks);
  byId("time-key").replaceChildren(topicLink(state.topic), ` by ${periods.unit}; all other topics in grey.`);
  byId("changes").replaceChildren(...(periods.words[state.topic] ?? []).flatMap(([period, gained, lost]) => [
    element("dt", {}, periods.names[period]),
    element("dd", {}, ...changed("more of", gained), ...changed("less of", lost)),
  ]));
}
painters.time = paintTime;

function changed(how, numbers) {
  if (!numbers.length) return [];
  const links = numbers.flatMap((number) => [
    number < data.num_looked_up ? element("a", { href: wordAddress(number) }, words[number]) : words[number], " "]);
  return [element("span", {}, element("em", {}, how), " ", ...links)];
}
