"""The report in a real browser: what it shows, what it lets one do, and that it asks nobody for anything."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from etm_app.data.corpus import BowDataset
from etm_app.model import ETM
from etm_app.report import Run, write_report
from tests.report.models import HOSTILE, hostile

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="needs chromium and chromedriver (apt-get install chromium chromium-driver)",
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)
Driver = webdriver.Chrome


@pytest.fixture(scope="module")
def report() -> tuple[ETM, BowDataset]:
    return hostile()


@pytest.fixture(scope="module")
def page(report: tuple[ETM, BowDataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Run(
        metrics={"val_perplexity": 12.5},
        history={"val_perplexity": [(1, 20.0), (2, 18.0)], "train_elbo": [(1, -9.0)], "val_elbo": [(1, -8.0)]},
        settings={"Model": {HOSTILE[0]: HOSTILE[1]}},
        warnings=[HOSTILE[0]],
    )
    return write_report(*report, tmp_path_factory.mktemp("report") / "report.html", run)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    home = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={home / 'data'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    driver = webdriver.Chrome(options, Service(DRIVER, env=environment))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Driver, page: Path) -> Iterator[Driver]:
    """The page, freshly opened and wide; whatever a test does, the console stays empty and nothing is asked for."""
    show(browser, 1400, dark=False)
    browser.get_log("performance")
    browser.get(page.as_uri())
    WebDriverWait(browser, 20).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#map .points path"))
    yield browser
    with pytest.raises(NoAlertPresentException):
        browser.switch_to.alert  # noqa: B018
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in asked
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert {url for url in asked if url.startswith("file:")} == {page.as_uri()}


def show(browser: Driver, width: int, dark: bool) -> None:
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wishes = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def names(browser: Driver, bars: str) -> list[str]:
    return [shown.get_property("textContent") for shown in browser.find_elements(By.CSS_SELECTOR, f"#{bars} .link")]


def chosen(browser: Driver) -> int:
    return int(browser.find_element(By.ID, "pick").get_property("value"))


def relevance(report: tuple[ETM, BowDataset], topic: int, weight: float) -> dict[str, float]:
    """Of every word, the most relevant first."""
    model = report[0]
    values = model.word_relevance(weight)[topic].numpy()
    return {(model.vocab or [])[word]: values[word] for word in np.argsort(-values)}


def most_relevant(report: tuple[ETM, BowDataset], topic: int, weight: float) -> list[str]:
    return list(relevance(report, topic, weight))[:20]


def text_of_map(browser: Driver) -> str:
    return str(browser.execute_script("return document.querySelector('#map').textContent"))


def test_words_and_texts_stay_text(opened: Driver) -> None:
    for view in ("overlap", "table", "map"):
        opened.find_element(By.CSS_SELECTOR, f"[data-view={view}]").click()
    for topic in range(6):
        Select(opened.find_element(By.ID, "pick")).select_by_value(str(topic))
    shown = opened.find_element(By.TAG_NAME, "body").get_property("textContent")
    assert all(word in shown for word in HOSTILE[:4])
    assert text_of_map(opened)
    foreign = "main :is(img, b, script, iframe), main a:not(nav a)"
    assert opened.find_elements(By.CSS_SELECTOR, foreign) == []
    assert opened.execute_script("return document.scripts.length") == 3
    search = opened.find_element(By.ID, "query")
    for word in HOSTILE[:4]:
        search.clear()
        search.send_keys(word)
        assert names(opened, "word-neighbors")
        assert opened.find_element(By.ID, "word-name").get_property("textContent") == word


def test_the_map_shows_a_hostile_word_as_it_is(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    drawn = opened.execute_script(
        "return [...document.querySelectorAll('#map .textpoint text')].map("
        "(node) => [node.textContent.replaceAll('\\u00a0', ' '), node.children.length])"
    )
    words = {word for word, _ in drawn}
    assert len(words & set(HOSTILE)) >= 4
    names = {" ".join(most_relevant(report, topic, 0.6)[:2]) for topic in range(6)}
    assert words <= set(report[0].vocab or []) | names
    assert not any(parts for _, parts in drawn)  # neither bold nor a link


def test_a_click_on_a_topic_of_the_map_shows_its_words(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    before = chosen(opened)
    circles = opened.find_elements(By.CSS_SELECTOR, "#map .scatterlayer .trace:first-child .points path")
    assert len(circles) == 6
    other = (before + 1) % 6
    ActionChains(opened).move_to_element(circles[other]).click().perform()
    WebDriverWait(opened, 5).until(lambda driver: chosen(driver) != before)
    assert names(opened, "topic-words") == most_relevant(report, chosen(opened), 0.6)
    assert chosen(opened) == other


def test_the_slider_goes_from_probability_to_lift(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    topic = chosen(opened)
    slider = opened.find_element(By.ID, "lambda")
    shown = {}
    for key, weight in ((Keys.HOME, 0.0), (Keys.END, 1.0)):
        slider.send_keys(key)
        assert float(opened.find_element(By.ID, "lambda-value").text) == weight
        shown[weight] = names(opened, "topic-words")
        expected = relevance(report, topic, weight)
        # The page has probabilities with four digits: words may change places that are closer than that.
        assert [expected[word] for word in shown[weight]] == pytest.approx(list(expected.values())[:20], abs=1e-3)
    slider.send_keys(Keys.ARROW_LEFT)
    assert float(opened.find_element(By.ID, "lambda-value").text) == 0.95
    assert shown[1.0][:10] == report[0].top_words(10, relevance=1)[topic]
    assert shown[0.0] != shown[1.0]


def test_the_words_are_the_models_when_it_opens(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    assert opened.find_element(By.ID, "lambda-value").text == "0.6"
    for topic, words in enumerate(report[0].top_words(20)):
        Select(opened.find_element(By.ID, "pick")).select_by_value(str(topic))
        assert names(opened, "topic-words") == words
        assert opened.find_element(By.ID, "topic-name").get_property("textContent") == " ".join(words[:3])


def test_a_word_is_found_with_its_neighbours(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    search = opened.find_element(By.ID, "query")
    search.send_keys("WORD4")
    assert "10 matches" in opened.find_element(By.ID, "query-state").text
    matches = opened.find_elements(By.CSS_SELECTOR, "#matches button")
    assert {match.text for match in matches} == {f"word4{digit}" for digit in range(10)}
    next(match for match in matches if match.text == "word42").click()
    assert names(opened, "word-neighbors") == [word for word, _ in report[0].nearest_words("word42", 10)]
    first = opened.find_element(By.CSS_SELECTOR, "#word-neighbors button")
    neighbor = first.text
    first.click()
    assert opened.find_element(By.ID, "word-name").text == neighbor
    opened.find_element(By.CSS_SELECTOR, "#word-topics button").click()
    assert chosen(opened) == int(names(opened, "word-topics")[0].split(" · ")[0])


def test_all_of_it_works_by_keyboard(opened: Driver) -> None:
    first = chosen(opened)
    following = opened.find_element(By.ID, "next")
    following.send_keys(Keys.ENTER)
    assert chosen(opened) != first
    opened.find_element(By.ID, "previous").send_keys(Keys.SPACE)
    assert chosen(opened) == first
    opened.find_element(By.CSS_SELECTOR, "[data-view=table]").send_keys(Keys.ENTER)
    tag = opened.find_elements(By.CSS_SELECTOR, "[data-topic]")[3]
    tag.send_keys(Keys.ENTER)
    assert chosen(opened) == int(tag.text)
    unnamed = opened.execute_script("""
        const named = (node) =>
            node.textContent.trim() || node.getAttribute("aria-label") || (node.labels || []).length;
        return [...document.querySelectorAll("button, select, input, [role=group], [role=region], [role=img]")]
            .filter((node) => !named(node)).map((node) => node.outerHTML);
    """)
    assert unnamed == []


def test_overlaps_are_those_of_the_topics(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    opened.find_element(By.CSS_SELECTOR, "[data-view=overlap]").click()
    shown, order = opened.execute_script(
        "return [document.getElementById('overlap').data[0].z,"
        " JSON.parse(document.getElementById('data').textContent).overlap.order]"
    )
    root = report[0].beta.double().sqrt().numpy()[order]
    expected = root @ root.T
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(np.array(shown, float), expected, atol=0.006)
    nearest = int(names(opened, "topic-neighbors")[0].split(" · ")[0])
    row = expected[order.index(chosen(opened))]
    assert row[order.index(nearest)] == np.nanmax(row)


def test_zooming_in_names_more_words(opened: Driver) -> None:
    def ranges() -> Any:
        return opened.execute_script("const { xaxis } = document.getElementById('map').layout; return xaxis.range")

    before = ranges()
    opened.find_element(By.CSS_SELECTOR, "[data-zoom='0.6']").click()
    after = ranges()
    assert after[1] - after[0] == pytest.approx(0.6 * (before[1] - before[0]))
    opened.find_element(By.CSS_SELECTOR, "[data-zoom='0']").click()
    assert ranges() == pytest.approx(before)


def test_light_and_dark(opened: Driver) -> None:
    def background() -> str:
        return str(opened.execute_script("return getComputedStyle(document.body).backgroundColor"))

    light = background()
    show(opened, 1400, dark=True)
    WebDriverWait(opened, 5).until(lambda _: background() != light)
    opened.find_element(By.ID, "theme").click()
    assert background() == light


def test_it_fits_a_telephone(opened: Driver) -> None:
    show(opened, 390, dark=False)
    opened.refresh()
    WebDriverWait(opened, 20).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#map .points path"))
    for view in ("overlap", "table", "map"):
        opened.find_element(By.CSS_SELECTOR, f"[data-view={view}]").click()
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
    assert opened.find_element(By.ID, "map").size["width"] > 300
