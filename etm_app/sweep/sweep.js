// Everything that is shown from the data is set as text, never as markup; Plotly, which knows some, gets escaped text.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const charts = document.getElementById("charts");
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const still = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
  const MAX_TICKS = 9;
  let ready = false;

  // Charts: a line through the means with bars of one standard deviation, and a dot for each run.

  function traces(series, group) {
    const shade = color(group);
    const dots = series.dots || series.values.map((values) => values.map((value) => [value, ""]));
    const [x, y, text] = [[], [], []];
    dots.forEach((ofNumber, place) => ofNumber.forEach(([value, said]) => {
      x.push(data.num_topics[place]);
      y.push(value);
      text.push(escaped(said));
    }));
    return [
      {
        type: "scatter", mode: "markers", x, y, text, hoverinfo: series.dots ? "y+text" : "x+y",
        marker: { size: series.dots ? 4 : 5, color: shade, opacity: series.dots ? 0.28 : 0.38 },
      },
      {
        type: "scatter", mode: "lines+markers", x: data.num_topics, y: series.mean, hoverinfo: "x+y",
        line: { color: shade, width: 2 }, marker: { size: 6, color: shade },
        error_y: { type: "data", array: series.sd.map((sd) => sd || 0), color: shade, thickness: 1.5, width: 4 },
      },
    ];
  }

  function layout() {
    const axis = {
      gridcolor: color("line"), zeroline: false, fixedrange: true, automargin: true,
      tickfont: { color: color("soft"), size: 11 }, title: { font: { color: color("soft"), size: 11 } },
    };
    const apart = Math.ceil(data.num_topics.length / MAX_TICKS);
    const ticks = data.num_topics.filter((_, place) => place % apart === 0);
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
      font: { family: getComputedStyle(document.body).fontFamily, color: color("ink"), size: 12 },
      margin: { l: 48, r: 10, t: 10, b: 34 }, dragmode: false, yaxis: { ...axis, nticks: 6 },
      xaxis: { ...axis, showgrid: false, type: data.logarithmic ? "log" : "linear", tickvals: ticks, ticktext: ticks.map(String) },
      hoverlabel: { bgcolor: color("ink"), font: { color: color("paper") }, align: "left" },
    };
  }

  function draw() {
    const drawn = data.charts.map((chart) => ({
      ...chart, plot: element("div", { class: "plot", role: "img", "aria-label": `${chart.title} against the number of topics; the table below has the numbers.` }),
    }));
    charts.replaceChildren(...drawn.map(({ title, series, plot }) => element("figure", {},
      element("figcaption", {}, title, ...(series.length < 2 ? [] : series.map(({ name }, place) =>
        element("span", { class: `key ${place ? "g4" : "g0"}` }, name)))), plot)));
    for (const { series, plot } of drawn) { // when all have their places, and so their sizes
      Plotly.newPlot(plot, series.flatMap((one, place) => traces(one, place ? "g4" : "g0")), layout(), still);
    }
  }

  // Topics of one number at a time

  function choose(number) {
    for (const button of document.querySelectorAll("[data-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.choice === number));
    }
    for (const topics of document.querySelectorAll("[data-topics]")) topics.hidden = topics.dataset.topics !== number;
  }

  followTheme(() => { if (ready) draw(); });
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.addEventListener("click", () => choose(button.dataset.choice));
  }
  choose(String(data.num_topics[0]));
  addEventListener("DOMContentLoaded", () => {
    ready = true;
    draw();
  });
})();
