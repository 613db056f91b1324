"""The page of a sweep: that it shows what was measured, lets no word act, and asks nobody for anything."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from etm_app.sweep.page import write_sweep_page
from etm_app.sweep.results import SECONDS, STABILITY, Spread, StableTopic, Summary
from tests.report.models import HOSTILE, corpus_of
from tests.report.test_browser import CHROMIUM, DRIVER, Driver, browser, show
from tests.report.test_page import Elements

__all__ = ["browser"]

NUM_TOPICS = (2, 6, 40)
IN_A_BROWSER = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="needs chromium and chromedriver (apt-get install chromium chromium-driver)",
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    names = ("val_perplexity", "test_perplexity", "val_topic_coherence", "test_topic_coherence", STABILITY, SECONDS)
    measures = {number: {name: Spread(rng.random(3).tolist()) for name in names} for number in NUM_TOPICS}
    topics = [
        StableTopic(number, 1, topic, 1 - topic / number, 1 / number, None, HOSTILE)
        for number in NUM_TOPICS
        for topic in range(number)
    ]
    summary = Summary(measures, {number: [1, 2, 3] for number in NUM_TOPICS}, topics)
    corpus = corpus_of(rng.poisson(1, size=(20, 4)), ["a", "b", "c", "d"])
    settings = {"Data": {HOSTILE[0]: HOSTILE[1]}}
    return write_sweep_page(summary, tmp_path_factory.mktemp("sweep") / "sweep.html", corpus, settings)


def test_the_markup_has_the_table_and_no_markup_of_words(path: Path) -> None:
    page = Elements(path.read_text(encoding="utf-8"))
    assert not {tag for tag, _ in page.tags} & {"img", "b", "iframe", "link", "object", "embed"}
    assert all("src" not in attributes for _, attributes in page.tags)
    assert all(word in page.text for word in HOSTILE[:3])
    assert "There is no one right number of topics" in page.text
    assert "20 documents, 4 words; models of 2, 6, 40 topics" in page.text
    assert page.text.count("topic coherence") == 1, "it is the same on all splits"
    assert len([tag for tag, attributes in page.tags if "data-topics" in attributes]) == len(NUM_TOPICS)


def test_the_charts_have_mean_and_deviation(path: Path) -> None:
    (data,) = [text for kind, text in Elements(path.read_text(encoding="utf-8")).scripts if kind == "application/json"]
    content = json.loads(data)
    assert content["num_topics"] == [*NUM_TOPICS]
    assert content["logarithmic"]
    charts = {chart["title"]: chart["series"] for chart in content["charts"]}
    assert [series["name"] for series in charts["Perplexity"]] == ["validation", "test"]
    assert [series["name"] for series in charts["Coherence"]] == ["by probability"]
    assert "Purity of the labels" not in charts
    for series in [one for chart in charts.values() for one in chart]:
        for mean, sd, values in zip(series["mean"], series["sd"], series["values"], strict=True):
            assert mean == pytest.approx(np.mean(values))
            assert sd == pytest.approx(np.std(values, ddof=1))
    (stability,) = charts["Stability over seeds"]
    assert [len(dots) for dots in stability["dots"]] == [*NUM_TOPICS]


@pytest.fixture
def opened(browser: Driver, path: Path) -> Iterator[Driver]:
    show(browser, 1400, dark=False)
    browser.get(path.as_uri())
    WebDriverWait(browser, 20).until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, ".charts .points")) >= 4)
    yield browser
    assert browser.get_log("browser") == []


@IN_A_BROWSER
def test_one_number_at_a_time_is_read(opened: Driver) -> None:
    def shown() -> list[str]:
        topics = opened.find_elements(By.CSS_SELECTOR, "[data-topics]")
        return [str(of.get_attribute("data-topics")) for of in topics if of.is_displayed()]

    assert shown() == ["2"]
    opened.find_element(By.CSS_SELECTOR, "[data-choice='40']").click()
    assert shown() == ["40"]


@IN_A_BROWSER
@pytest.mark.parametrize(("width", "dark"), [(1400, True), (390, False)])
def test_it_fits_the_screen_and_its_light(opened: Driver, width: int, dark: bool) -> None:
    show(opened, width, dark)
    wide = "return document.documentElement.scrollWidth"
    WebDriverWait(opened, 20).until(lambda driver: driver.execute_script(wide) <= width)
    is_dark = "return document.documentElement.classList.contains('dark')"
    WebDriverWait(opened, 20).until(lambda driver: driver.execute_script(is_dark) is dark)


@IN_A_BROWSER
def test_its_theme_is_remembered(opened: Driver) -> None:
    dark = "return document.documentElement.classList.contains('dark')"
    assert not opened.execute_script(dark)
    opened.find_element(By.ID, "theme").click()
    opened.refresh()
    assert opened.execute_script(dark)
    opened.execute_script("localStorage.clear()")
