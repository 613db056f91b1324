"""The report in a real browser: what it shows, what it lets one do, and that it asks nobody for anything."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from polars.testing import assert_frame_equal
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from etm_app.data.corpus import BowDataset
from etm_app.model import ETM
from etm_app.report import Run, compare, write_report
from etm_app.report.comparison import is_comparison, write_comparison
from etm_app.report.content import describe
from etm_app.report.names import read_names
from etm_app.report.page import PRINTED, render, write_page
from etm_app.report.spreadsheet import safe_cells
from etm_app.report.survey import survey
from tests.report.models import HOSTILE, hostile, random_model

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
    browser.get("about:blank")
    browser.get(page.as_uri())
    browser.execute_script("localStorage.clear()")
    yield browser
    with pytest.raises(NoAlertPresentException):
        browser.switch_to.alert  # noqa: B018
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]
    urls = {url.partition("#")[0] for url in asked}
    assert page.as_uri() in urls
    assert {url.split(":")[0] for url in urls} <= {"file", "data", "blob", "about"}
    assert {url for url in urls if url.startswith("file:")} == {page.as_uri()}


def show(browser: Driver, width: int, dark: bool) -> None:
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wishes = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def find(browser: Driver, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def texts(browser: Driver, selector: str) -> list[str]:
    return [str(shown.get_property("textContent")) for shown in browser.find_elements(By.CSS_SELECTOR, selector)]


def at(browser: Driver) -> str:
    return str(browser.execute_script("return location.hash"))


def view(browser: Driver, name: str) -> None:
    find(browser, f"nav a[href='#{name}']").click()
    assert [section.get_attribute("id") for section in browser.find_elements(By.CSS_SELECTOR, SECTIONS)] == [name]


SECTIONS = "#views > section:not([hidden])"
ROWS = "#topics tr[data-topic]:not([hidden])"


def listed(browser: Driver) -> list[int]:
    """The topics in the list, from above."""
    rows = browser.find_elements(By.CSS_SELECTOR, ROWS)
    return [int(str(row.get_attribute("data-topic"))) for row in rows if row.is_displayed()]


def chosen(browser: Driver) -> int:
    return int(str(find(browser, "#topics tr[aria-current]").get_attribute("data-topic")))


def choose(browser: Driver, topic: int) -> None:
    find(browser, f"#topic-{topic} .words").click()


def search(browser: Driver, text: str) -> None:
    field = find(browser, "#query")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(text or Keys.BACKSPACE)
    settle(browser)


def settle(browser: Driver) -> None:
    """Wait for what is drawn with the next frame."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def relevance(report: tuple[ETM, BowDataset], topic: int, weight: float) -> dict[str, float]:
    """Of every word, the most relevant first."""
    model = report[0]
    values = model.word_relevance(weight)[topic].numpy()
    return {(model.vocab or [])[word]: values[word] for word in np.argsort(-values)}


def test_words_and_texts_stay_text(opened: Driver) -> None:
    for name in ("map", "similarity", "labels", "documents", "run", "list"):
        view(opened, name)
    for topic in range(6):
        choose(opened, topic)
    shown = str(find(opened, "body").get_property("textContent"))
    assert all(word in shown for word in HOSTILE[:4])
    assert opened.find_elements(By.CSS_SELECTOR, "main :is(img, b, script, iframe), a:not([href^='#'])") == []
    assert opened.execute_script("return document.scripts.length") == 2
    for word in HOSTILE[:4]:
        search(opened, word)
        find(opened, "#matches a").click()
        assert texts(opened, "#word-name") == [word]
        assert len(texts(opened, "#word-neighbors .link")) == 10


def test_the_list_is_searched_by_words_and_labels(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    top = report[0].top_words(20)
    everywhere = listed(opened)
    assert sorted(everywhere) == list(range(6))
    one, other = top[2][15], top[2][3]
    search(opened, f"{one.upper()} {other}")
    expected = {topic for topic in range(6) if all(any(word in own for own in top[topic]) for word in (one, other))}
    assert set(listed(opened)) == expected >= {2}
    marked = texts(opened, "#topic-2 mark")
    assert one in marked  # though only the first ten are there otherwise
    assert set(texts(opened, "#matches a")[:2]) == {one, other}
    search(opened, "no such thing")
    assert listed(opened) == []
    assert "No topic has “no such thing”" in find(opened, "#found").text
    search(opened, "")
    assert listed(opened) == everywhere
    assert texts(opened, "#topics mark") == []


def test_a_label_that_is_not_among_the_first_is_found(opened: Driver) -> None:
    data = opened.execute_script("return JSON.parse(document.getElementById('data').textContent)")
    topic, label = next(
        (topic, data["labels"][label])
        for topic, own in enumerate(data["topics"])
        for label, share in own["labels"][2:]
        if share >= 0.1 and not any(term in " ".join(own["top"]) for term in data["labels"][label].split())
    )
    assert label not in [span.text for span in opened.find_elements(By.CSS_SELECTOR, f"#topic-{topic} .labels span")]
    search(opened, label)
    assert topic in listed(opened)
    shown = [span.text for span in opened.find_elements(By.CSS_SELECTOR, f"#topic-{topic} .labels span")]
    assert any(text.endswith(label) for text in shown)


def test_the_list_is_sorted_and_folded(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    by_similarity = listed(opened)
    found = survey(*report)
    assert found is not None
    Select(find(opened, "#order")).select_by_value("share")
    assert listed(opened) == np.argsort(-found.shares).tolist()
    find(opened, "[data-order=number]").click()
    assert listed(opened) == list(range(6))
    assert opened.find_elements(By.CSS_SELECTOR, "th[aria-sort=ascending]")
    find(opened, "[data-order=number]").click()
    assert listed(opened) == by_similarity
    assert find(opened, "#topics tbody").is_displayed()


def test_families_are_folded_and_unfolded_by_a_search(browser: Driver, tmp_path: Path) -> None:
    model = random_model([f"word{number:03}" for number in range(300)], num_topics=16)
    show(browser, 1400, dark=False)
    browser.get(write_report(model, None, tmp_path / "report.html").as_uri())
    assert len(listed(browser)) == 16
    families = browser.find_elements(By.CSS_SELECTOR, ".family button")
    assert len(families) == 4
    families[0].click()
    assert 0 < len(listed(browser)) < 16
    find(browser, "#fold").click()
    assert listed(browser) == []
    search(browser, model.top_words(1)[5][0])
    assert 5 in listed(browser)


def test_a_topic_has_an_address_and_back_goes_back(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    first = chosen(opened)
    other = (first + 1) % 6
    find(opened, f"#topic-{other} a").click()
    assert at(opened) == f"#topic-{other}"
    assert chosen(opened) == other
    view(opened, "documents")
    find(opened, "#topic-similar a").click()
    assert chosen(opened) != other
    assert [section.get_attribute("id") for section in opened.find_elements(By.CSS_SELECTOR, SECTIONS)] == ["documents"]
    assert opened.switch_to.active_element.get_attribute("id") == "topic-name"  # not lost with the link
    opened.back()
    assert chosen(opened) == other
    opened.back()
    assert at(opened) == f"#topic-{other}"
    assert find(opened, "#list").is_displayed()
    opened.back()
    assert chosen(opened) == first
    opened.forward()
    opened.refresh()
    assert chosen(opened) == other
    assert texts(opened, "#topic-words .link") == report[0].top_words(20)[other]


def test_an_address_opens_what_it_names(browser: Driver, page: Path) -> None:
    show(browser, 1400, dark=False)
    for anchor, section in (("topic-4", "list"), ("document-7", "documents"), ("metric-perplexity", "run")):
        browser.get("about:blank")
        browser.get(f"{page.as_uri()}#{anchor}")
        assert find(browser, f"#{section}").is_displayed()
        assert 0 <= find(browser, f"#{anchor}").rect["y"] - browser.execute_script("return scrollY") < 1000
    browser.get("about:blank")
    browser.get(f"{page.as_uri()}#word-word42")
    assert find(browser, "#word-name").text == "word42"
    browser.get(f"{page.as_uri()}#%E0%A4%A")  # nothing
    assert len(browser.find_elements(By.CSS_SELECTOR, SECTIONS)) == 1


def test_a_reload_stays_where_it_was_also_if_the_page_was_written_anew(browser: Driver, tmp_path: Path) -> None:
    def write(num_topics: int, words: list[str]) -> str:
        path = write_report(random_model(words, num_topics), None, tmp_path / "report.html")
        return path.as_uri()

    vocab = [f"word{number:03}" for number in range(300)]
    show(browser, 1400, dark=False)
    browser.get(write(16, vocab) + "#word-word100")
    find(browser, "#topic-7 a").click()
    browser.execute_script("scrollTo(0, 123)")
    WebDriverWait(browser, 5).until(lambda _: browser.execute_script("return history.state.scroll") == 123)
    browser.refresh()
    assert (chosen(browser), browser.execute_script("return scrollY")) == (7, 123)
    browser.back()
    write(4, vocab[50:])
    browser.refresh()
    assert find(browser, "#word-name").text == "word100"
    browser.forward()
    assert 0 <= chosen(browser) < 4
    browser.refresh()
    assert texts(browser, "#topic-words .link")
    assert find(browser, "#list").is_displayed()
    assert browser.get_log("browser") == []


def test_names_are_given_and_kept(opened: Driver, tmp_path: Path) -> None:
    name = "@<b>Mine</b>,\u200c & 50%"
    ActionChains(opened).double_click(find(opened, "#topic-3 [data-name]")).perform()
    opened.switch_to.active_element.send_keys(Keys.CONTROL, "a")
    opened.switch_to.active_element.send_keys(name, Keys.ENTER)
    assert set(texts(opened, "[data-name='3']")) == {name}
    opened.refresh()
    assert set(texts(opened, "[data-name='3']")) == {name}
    find(opened, "#topic-2 a").send_keys(Keys.F2)
    field = opened.switch_to.active_element
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(name, Keys.ENTER)  # that of another topic
    assert opened.execute_script("return arguments[0].validity.customError", field)
    field.send_keys("!", Keys.ENTER)
    saved = save(opened, tmp_path, "names", "csv")
    assert read_names(saved, 6, "topics.names") == {2: f"{name}!", 3: name}
    search(opened, "mine")
    assert sorted(listed(opened)) == [2, 3]
    view(opened, "documents")
    find(opened, "#rename").click()
    opened.switch_to.active_element.send_keys("later", Keys.ENTER)
    opened.back()
    assert "=later" in at(opened)


def save(browser: Driver, folder: Path, what: str, kind: str) -> Path:
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    path = folder / f"{what}.{kind}"
    find(browser, f"[data-save={what}][data-kind={kind}]").click()
    WebDriverWait(browser, 20).until(lambda _: path.exists() and path.stat().st_size)
    return path


def test_pictures_and_tables_are_saved(opened: Driver, tmp_path: Path, report: tuple[ETM, BowDataset]) -> None:
    table = pl.read_csv(save(opened, tmp_path, "topics", "csv"))
    assert table["word_1"].to_list() == [report[0].top_words(1)[topic][0] for topic in table["topic"]]
    for what in ("map", "similarity", "labels"):
        view(opened, what)
        drawn = ElementTree.fromstring(save(opened, tmp_path, what, "svg").read_text(encoding="utf-8"))
        assert len(list(drawn.iter("{http://www.w3.org/2000/svg}text"))) > 6
        with Image.open(save(opened, tmp_path, what, "png")) as image:
            assert len(set(image.convert("L").tobytes())) > 10  # there is something on it
        assert len(pl.read_csv(save(opened, tmp_path, what, "csv"))) == 6


def test_a_curve_is_saved(opened: Driver, tmp_path: Path) -> None:
    opened.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    view(opened, "run")
    find(opened, "#charts [aria-label='Download Perplexity'] button").click()
    path = tmp_path / "perplexity.svg"
    WebDriverWait(opened, 20).until(lambda _: path.exists() and path.stat().st_size)
    assert "epoch" in [node.text for node in ElementTree.fromstring(path.read_text(encoding="utf-8")).iter()]


def test_the_slider_goes_from_probability_to_lift(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    topic = chosen(opened)
    slider = find(opened, "#lambda")
    shown = {}
    for key, weight in ((Keys.HOME, 0.0), (Keys.END, 1.0)):
        slider.send_keys(key)
        assert float(find(opened, "#lambda-value").text) == weight
        shown[weight] = texts(opened, "#topic-words .link")
        expected = relevance(report, topic, weight)
        # The page has probabilities with four digits: words may change places that are closer than that.
        assert [expected[word] for word in shown[weight]] == pytest.approx(list(expected.values())[:20], abs=1e-3)
    slider.send_keys(Keys.ARROW_LEFT)
    assert float(find(opened, "#lambda-value").text) == 0.95
    assert shown[1.0][:10] == report[0].top_words(10, relevance=1)[topic]
    assert shown[0.0] != shown[1.0]


def test_the_words_are_the_models_when_it_opens(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    assert find(opened, "#lambda-value").text == "0.6"
    for topic, words in enumerate(report[0].top_words(20)):
        choose(opened, topic)
        assert texts(opened, "#topic-words .link") == words
        assert texts(opened, "#topic-name") == [" ".join(words[:3])]


def test_a_word_is_found_with_its_neighbours(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    search(opened, "WORD4")
    assert "10 words" in find(opened, "#found").text
    assert set(texts(opened, "#matches a")) == {f"word4{digit}" for digit in range(10)}
    opened.find_element(By.LINK_TEXT, "word42").click()
    assert at(opened) == "#word-word42"
    assert texts(opened, "#word-neighbors .link") == [word for word, _ in report[0].nearest_words("word42", 10)]
    neighbor = texts(opened, "#word-neighbors a")[0]
    find(opened, "#word-neighbors a").click()
    assert texts(opened, "#word-name") == [neighbor]
    topic = texts(opened, "#word-topics .of")[0]
    find(opened, "#word-topics a").click()
    assert chosen(opened) == int(topic)


def test_from_the_list_to_a_document_and_back_by_keyboard(opened: Driver) -> None:
    link = find(opened, ROWS + " a.topic")
    opened.execute_script("arguments[0].focus()", link)
    keys = ActionChains(opened)
    keys.send_keys(Keys.ARROW_DOWN, Keys.ENTER).perform()
    second = listed(opened)[1]
    assert at(opened) == f"#topic-{second}"
    assert opened.switch_to.active_element.get_attribute("id") == "topic-name"
    for _ in range(60):
        ActionChains(opened).send_keys(Keys.TAB).perform()
        if str(opened.switch_to.active_element.get_attribute("href")).partition("#")[2].startswith("document-"):
            break
    ActionChains(opened).send_keys(Keys.ENTER).perform()
    document = opened.switch_to.active_element
    assert document.tag_name == "article"
    assert document.is_displayed()
    opened.back()
    assert opened.switch_to.active_element.get_attribute("href").partition("#")[2].startswith("document-")
    ActionChains(opened).send_keys(Keys.ESCAPE).perform()
    assert opened.switch_to.active_element == find(opened, f"#topic-{second} a.topic")
    unnamed = opened.execute_script("""
        const named = (node) =>
            node.textContent.trim() || node.getAttribute("aria-label") || (node.labels || []).length;
        return [...document.querySelectorAll("button, select, input, [role=group], [role=region], [role=img]")]
            .filter((node) => !named(node)).map((node) => node.outerHTML);
    """)
    assert unnamed == []


def test_similarity_is_that_of_the_topics(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    similarity = report[0].topic_similarity
    view(opened, "similarity")
    order = opened.execute_script("return JSON.parse(document.getElementById('data').textContent).similarity.order")
    cells = find(opened, "#similarity-picture image")
    corner, size = cells.location, cells.size["width"] / 6
    opened.execute_script("scrollTo(0, 0)")
    for row, column in ((1, 4), (3, 0)):
        move = ActionChains(opened).move_to_element_with_offset(
            cells, round((column + 0.5) * size - cells.size["width"] / 2), round((row + 0.5) * size - 3 * size)
        )
        move.perform()
        value = similarity[order[row], order[column]]
        assert find(opened, "#pair").text.endswith(f": {value:.2f}".replace("-", "−")), corner
    own = int(
        texts(opened, "#topic-name [data-name]") and find(opened, "#topic-name [data-name]").get_attribute("data-name")
    )
    others = sorted(set(range(6)) - {own}, key=lambda other: -similarity[own, other])
    assert [int(number) for number in texts(opened, "#topic-similar .of")] == others


def circles(browser: Driver) -> dict[int, tuple[float, float]]:
    found = browser.execute_script(
        "return [...document.querySelectorAll('#map-picture a')].map(({ dataset, firstChild }) => "
        "[dataset.topic, firstChild.getAttribute('cx'), firstChild.getAttribute('cy')])"
    )
    return {int(topic): (float(x), float(y)) for topic, x, y in found}


def test_the_map_shows_topics_where_they_are_and_hostile_words_as_they_are(
    opened: Driver, report: tuple[ETM, BowDataset]
) -> None:
    view(opened, "map")
    data = opened.execute_script("return JSON.parse(document.getElementById('data').textContent)")
    drawn = circles(opened)
    points = np.array([topic["point"] for topic in data["topics"]])
    shown = np.array([drawn[topic] for topic in range(6)])
    apart, expected = (np.linalg.norm(of[:, None] - of[None], axis=2) for of in (shown, points))
    np.testing.assert_allclose(apart / apart.max(), expected / expected.max(), atol=1e-3)
    written = opened.execute_script(
        "return [...document.querySelectorAll('#map-picture text')]"
        ".map((node) => [node.textContent, node.children.length])"
    )
    assert not any(parts for _, parts in written)
    names = {" ".join(words) for words in report[0].top_words(2)}
    assert names <= {text for text, _ in written}
    other = next(
        topic
        for topic in range(6)
        if topic != int(find(opened, "#map-picture .chosen").get_attribute("data-topic") or 0)
    )
    ActionChains(opened).move_to_element(find(opened, f"#map-picture a[data-topic='{other}'] circle")).click().perform()
    assert at(opened) == f"#topic-{other}"
    assert texts(opened, "#topic-words .link") == report[0].top_words(20)[other]


def test_the_map_is_zoomed_to_the_topic_within_limits_and_moved(opened: Driver) -> None:
    view(opened, "map")
    before = circles(opened)
    for _ in range(12):
        find(opened, "[data-zoom=in]").click()
    settle(opened)
    near = circles(opened)
    (one, other) = list(before)[:2]
    ratio = np.hypot(*np.subtract(near[one], near[other])) / np.hypot(*np.subtract(before[one], before[other]))
    assert ratio == pytest.approx(12, rel=1e-3)
    topic = int(str(find(opened, "#map-picture .chosen").get_attribute("data-topic")))
    box = find(opened, "#map-picture").size
    assert 0 < near[topic][0] < box["width"]
    assert 0 < near[topic][1] < box["height"]
    for _ in range(12):
        find(opened, "[data-zoom=out]").click()
    settle(opened)
    assert circles(opened) == {topic: pytest.approx(place, abs=1e-6) for topic, place in before.items()}
    find(opened, "[data-zoom=topic]").click()
    settle(opened)
    close = circles(opened)
    ActionChains(opened).drag_and_drop_by_offset(find(opened, "#map-picture"), 60, 0).perform()
    settle(opened)
    assert at(opened) == "#map"  # to move is not to choose
    moved = {circles(opened)[topic][0] - close[topic][0] for topic in close}
    assert max(moved) - min(moved) < 1e-6
    view(opened, "list")
    view(opened, "map")
    opened.execute_script("document.querySelector('#map-picture .chosen').focus()")
    ActionChains(opened).send_keys(Keys.ENTER).perform()
    assert at(opened) == f"#topic-{topic}"
    find(opened, "#rename").click()
    opened.switch_to.active_element.send_keys("renamed", Keys.ENTER)
    assert "renamed" in texts(opened, "#map-picture .name.chosen")


def test_labels_of_the_map_that_are_apart_have_a_line(browser: Driver, tmp_path: Path) -> None:
    model = random_model([f"word{number:04}" for number in range(5_500)], num_topics=16)
    with torch.no_grad():  # words so rare that they cannot be looked up, of which the topics are
        model.log_frequency[model.beta.mean(0).argsort()[:300]] = -30
    show(browser, 1400, dark=False)
    browser.get(write_report(model, None, tmp_path / "report.html").as_uri() + "#map")
    apart, with_line = browser.execute_script("""
        const ends = new Set([...document.querySelectorAll("#map-picture .leader")]
            .map((line) => `${line.getAttribute("x1")} ${line.getAttribute("y1")}`));
        const apart = [...document.querySelectorAll("#map-picture circle.word")].filter((point) => {
            const [x, y, box] = [point.cx.baseVal.value, point.cy.baseVal.value, point.nextSibling.getBBox()];
            return x < box.x - 4 || x > box.x + box.width + 4 || y < box.y - 3 || y > box.y + box.height + 3;
        });
        const start = (point) => `${point.getAttribute("cx")} ${point.getAttribute("cy")}`;
        return [apart.length, apart.filter((point) => ends.has(start(point))).length];
    """)
    assert apart == with_line > 0
    ActionChains(browser).move_to_element(find(browser, "#topic-words span.link")).perform()
    assert not browser.find_elements(By.CSS_SELECTOR, "#map-picture circle[style]")
    ActionChains(browser).move_to_element(find(browser, "#topic-nearest li")).perform()


def test_documents_are_found_by_words_and_topics(opened: Driver, report: tuple[ETM, BowDataset]) -> None:
    view(opened, "documents")
    found = survey(*report)
    assert found is not None
    everything = opened.find_elements(By.CSS_SELECTOR, "article")
    assert len(everything) == opened.execute_script("return document.querySelectorAll('article:not([hidden])').length")
    topic = int(str(find(opened, "#topic-name [data-name]").get_attribute("data-name")))
    ids = report[1].corpus.documents["id"].to_list()
    for kind, documents, most in (("typical", found.representative, 8), ("mixed", found.mixed, 3)):
        Select(find(opened, "#kind")).select_by_value(kind)
        assert at(opened) == f"#documents-{kind}"
        shown = [text.rsplit(" ", 1)[0] for text in texts(opened, "article:not([hidden]) h3")]
        assert [
            text.startswith(ids[row])
            for text, (row, _) in zip(texts(opened, "article:not([hidden]) h3"), documents[topic][:most], strict=True)
        ] == [True] * len(shown)
    Select(find(opened, "#kind")).select_by_value("all")
    find(opened, "#find").send_keys("word17 word1")
    settle(opened)
    shown = texts(opened, "article:not([hidden])")
    assert 0 < len(shown) < len(everything)
    assert all("word17" in text for text in shown)
    find(opened, "#find").clear()
    find(opened, "#find").send_keys("%")  # which only the shares of the topics have
    settle(opened)
    assert "No document" in find(opened, "#documents-found").text


def test_documents_are_arrived_at_through_a_search_and_left_by_back(
    opened: Driver, report: tuple[ETM, BowDataset]
) -> None:
    view(opened, "documents")
    Select(find(opened, "#kind")).select_by_value("mixed")
    mixed = len(texts(opened, "article:not([hidden])"))
    opened.back()
    assert find(opened, "#kind").get_attribute("value") == "all"
    assert len(texts(opened, "article:not([hidden])")) > mixed
    found = survey(*report)
    assert found is not None
    shares = [share for _, share in found.representative[chosen(opened)][:3]]
    assert [float(text.rstrip("%")) for text in texts(opened, "#topic-documents .amount")] == pytest.approx(
        [100 * share for share in shares], abs=0.5
    )
    find(opened, "#find").send_keys("zzzz")
    settle(opened)
    assert not texts(opened, "article:not([hidden])")
    find(opened, "#topic-documents a").click()
    assert opened.switch_to.active_element.tag_name == "article"
    assert opened.switch_to.active_element.is_displayed()


def test_light_and_dark_are_remembered(opened: Driver) -> None:
    def background() -> str:
        return str(opened.execute_script("return getComputedStyle(document.body).backgroundColor"))

    light = background()
    show(opened, 1400, dark=True)
    WebDriverWait(opened, 5).until(lambda _: background() != light)
    find(opened, "#theme").click()
    assert background() == light
    opened.refresh()
    assert background() == light


def test_on_a_telephone_details_take_the_place_of_the_list(opened: Driver) -> None:
    show(opened, 390, dark=False)
    opened.refresh()
    for name in ("map", "similarity", "labels", "documents", "run", "list"):
        view(opened, name)
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
    assert not find(opened, "#panel").is_displayed()
    last = listed(opened)[-1]
    opened.execute_script("arguments[0].scrollIntoView()", find(opened, f"#topic-{last}"))
    before = opened.execute_script("return scrollY")
    find(opened, f"#topic-{last} a").click()
    assert find(opened, "#topic-name").is_displayed()
    assert 0 <= find(opened, "#topic-name").rect["y"] - opened.execute_script("return scrollY") < 300
    assert not find(opened, "#list").is_displayed()
    find(opened, "#close").click()
    WebDriverWait(opened, 5).until(lambda _: find(opened, "#list").is_displayed())
    assert opened.execute_script("return scrollY") == before


def test_all_of_it_is_printed(opened: Driver) -> None:
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    for selector in (
        "#list table",
        "#map-picture circle",
        "#similarity-picture image",
        "#labels td",
        "article",
        ".charts svg",
    ):
        assert find(opened, selector).is_displayed(), selector
    assert sum(article.is_displayed() for article in opened.find_elements(By.TAG_NAME, "article")) == PRINTED
    assert not find(opened, "nav").is_displayed()
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_without_a_script_topics_documents_and_the_run_are_there(browser: Driver, page: Path) -> None:
    show(browser, 1400, dark=False)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get("about:blank")
        browser.get(page.as_uri())
        for selector in ("#topic-0", "#topic-5", "#labels td", "#document-0", "#metric-perplexity"):
            assert find(browser, selector).is_displayed(), selector
        for selector in ("#panel", "#query", "#map", "[data-save]"):
            assert not find(browser, selector).is_displayed(), selector
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_tables_lose_no_word_and_no_topic(browser: Driver, tmp_path: Path) -> None:
    odd = ["nan", "null", "#N/A", "=1+1", "@home"]
    vocab = [*odd, *(f"word{number:02}" for number in range(30))]
    model = random_model(vocab)
    found = compare(model, random_model(vocab, 8, seed=1))
    show(browser, 1400, dark=False)
    path = write_report(model, None, tmp_path / "report.html", Run(comparison=found))
    browser.get(f"{path.as_uri()}#compare&name-2=mine")
    saved = save(browser, tmp_path, "compare", "csv")
    write_comparison(found, tmp_path / "expected.csv")
    assert is_comparison(saved)
    expected = pl.read_csv(tmp_path / "expected.csv")
    assert len(expected) == 8
    mine = pl.when(pl.col("topic") == 2).then(pl.lit("mine")).otherwise("name")
    assert_frame_equal(pl.read_csv(saved), expected.with_columns(name=mine), check_dtypes=False)
    view(browser, "list")
    search(browser, model.top_words(20)[0][19])
    choose(browser, listed(browser)[0])
    assert len(listed(browser)) < 6
    table = pl.read_csv(save(browser, tmp_path, "topics", "csv")).sort("topic")
    words = pl.DataFrame(model.top_words(20), table.columns[-20:], orient="row")
    assert_frame_equal(table[:, -20:], safe_cells(words))
    assert {*odd} < {*words.to_numpy().ravel()}


def test_topics_over_time(browser: Driver, report: tuple[ETM, BowDataset], tmp_path: Path) -> None:
    content = describe(report[0], report[1], survey(*report))
    shares = np.random.default_rng(0).dirichlet(np.ones(6), 3).T.round(4)
    periods = {"unit": "month", "names": ["2024-01", "2024-02", HOSTILE[0]], "documents": [30, 40, 20]}
    words: list[list[list[object]]] = [[] for _ in range(6)]
    words[2] = [[1, [0, 3], [5]]]
    content["periods"] = {**periods, "starts": [], "shares": shares.tolist(), "words": words}
    path = write_page(render(content, report[1], Run()), tmp_path / "report.html")
    show(browser, 1400, dark=False)
    browser.get(f"{path.as_uri()}#topic-2")
    view(browser, "time")
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('#time-picture .dot')].map((dot) => Number(dot.getAttribute('cy')))"
    )
    ground = browser.execute_script("return Number(document.querySelector('#time-picture .grid').getAttribute('y1'))")
    np.testing.assert_allclose((ground - np.array(drawn)) / (ground - drawn[0]), shares[2] / shares[2, 0], rtol=1e-6)
    assert texts(browser, "#changes dt") == ["2024-02"]
    assert texts(browser, "#changes a") == [content["words"][word] for word in (0, 3, 5)]
    assert len(texts(browser, "#time tbody td")) == 18
    long = {**content["periods"], "names": [str(day) for day in range(25_000)], "documents": [1] * 25_000}
    long = {**long, "shares": np.tile(shares, 8_334)[:, :25_000].tolist(), "words": [[]] * 6}
    write_page(render({**content, "periods": long}, report[1], Run()), tmp_path / "long.html")
    table = pl.read_csv(save(browser, tmp_path, "time", "csv"))
    np.testing.assert_allclose(table.sort("topic").drop("topic", "name").to_numpy(), shares)
    browser.get((tmp_path / "long.html").as_uri() + "#time")
    assert find(browser, "#time-picture .line").get_attribute("d")
