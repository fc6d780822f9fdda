"""The local Space's page in a real browser, used as a person would."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from timing import FACTOR

from qwen72b.local import Backend, backend, running

pytest.importorskip("gradio", minversion="5.50")
pytest.importorskip("selenium")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="no chromium and chromedriver on this machine (Debian: chromium, chromium-driver)",
    ),
    # Gradio's own, raised in its threads after each answer (6.31) or join (5.50).
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:'HTTP_422_UNPROCESSABLE_ENTITY' is deprecated"),
]

# Headless, as root, and without calls of Chromium's own to Google.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,900",
)
# Seconds after which a wait is a failure; nothing here takes as long.
PATIENCE = 60 * FACTOR


class Page:
    """The page, by what a person sees on it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, PATIENCE, poll_frequency=0.02).until(
            lambda _: condition()
        )

    def field(self, label: str) -> Any:
        path = f"//label[.//span[normalize-space()='{label}']]//textarea"
        return self.wait(
            lambda: next(
                (each for each in self.driver.find_elements(By.XPATH, path) if each.is_displayed()),
                None,
            )
        )

    def press(self, name: str) -> None:
        self.driver.find_element(By.XPATH, f"//button[normalize-space()='{name}']").click()

    def bubbles(self, side: str) -> list[str]:
        # One script, so that a redraw cannot come between finding and reading.
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())"
        return self.driver.execute_script(script, f"[data-testid={side}]")

    @property
    def answers(self) -> list[str]:
        return self.bubbles("bot")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def open_page(driver: Any) -> Iterator[Callable[[Backend], Page]]:

    with contextlib.ExitStack() as stack:

        def open_page(model: Backend) -> Page:
            driver.get(stack.enter_context(running(model)))
            page = Page(driver)
            page.field("Input")
            return page

        yield open_page
        # Hang up before the Space stops, else the page reconnects for ever.
        driver.get("about:blank")


def test_type_and_watch(open_page: Callable[[Backend], Page], tmp_path: Path) -> None:
    """A message typed and sent with Enter is answered bit by bit below it."""
    page = open_page(backend("echo"))
    words = " ".join(f"word{number}" for number in range(60))
    page.field("Input").send_keys(words + Keys.ENTER)
    part = page.wait(lambda: next((text for text in page.answers if text), None))
    assert words.startswith(part)
    assert len(part) < len(words)
    assert page.bubbles("user") == [words]
    page.wait(lambda: page.answers == [words])
    assert page.field("Input").get_attribute("value") == ""
    assert page.driver.save_screenshot(str(tmp_path / "page.png"))


def test_send_button_and_second_turn(open_page: Callable[[Backend], Page]) -> None:
    """The button sends too, and a second turn comes below the first."""
    page = open_page(backend("echo"))
    for said in ("Hello", "Again"):
        page.field("Input").send_keys(said)
        page.press("Send")
        page.wait(lambda said=said: page.answers[-1:] == [said])
    assert page.answers == ["Hello", "Again"]
    page.press("Clear history")
    page.wait(lambda: page.answers == [])


def test_system_prompt(open_page: Callable[[Backend], Page]) -> None:
    """A new system prompt clears the chat and reaches the model."""
    model = backend("echo")
    heard = []
    produce = model.produce

    def listen(messages: Any, generation: Any) -> None:
        heard.append(messages[0]["content"])
        produce(messages, generation)

    model.produce = listen  # type: ignore[method-assign]
    page = open_page(model)
    page.field("Input").send_keys("One" + Keys.ENTER)
    page.wait(lambda: page.answers == ["One"])
    system = page.field("System")
    system.clear()
    system.send_keys("Be brief.")
    page.press("Set system prompt and clear history")
    page.wait(lambda: page.answers == [])
    page.field("Input").send_keys("Two" + Keys.ENTER)
    page.wait(lambda: page.answers == ["Two"])
    assert heard == ["You are a helpful assistant.", "Be brief."]


def test_page_calls_nobody(open_page: Callable[[Backend], Page], driver: Any) -> None:
    """The browser loads nothing from another host, and the header names the model."""

    driver.get_log("performance")
    page = open_page(backend("echo"))
    page.field("Input").send_keys("Hello" + Keys.ENTER)
    page.wait(lambda: page.answers == ["Hello"])
    assert (
        "standing in for Qwen2-72B-Instruct"
        in driver.find_element(By.TAG_NAME, "h1").find_element(By.XPATH, "..").text
    )
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    received = {
        event["params"]["response"]["url"]
        for event in events
        if event["method"] == "Network.responseReceived"
    }
    assert received
    assert {url for url in received if url.startswith("http")} == {
        url for url in received if url.startswith(driver.current_url)
    }


class Patient(Backend):
    """Says a word, then nothing until it is stopped."""

    def __init__(self) -> None:
        super().__init__("A patient one", stand_in=True, concurrency=1)
        self.stopped = threading.Event()

    def stream(self, messages: Any) -> Iterator[str]:
        try:
            yield from super().stream(messages)
        finally:
            self.stopped.set()

    def produce(self, messages: Any, generation: Any) -> None:
        generation.emit("Word")
        self.stopped.wait()


def test_stop_ends_an_answer(open_page: Callable[[Backend], Page]) -> None:
    """Stop keeps what came, and ends what the model is at."""
    model = Patient()
    page = open_page(model)
    page.field("Input").send_keys("Hi" + Keys.ENTER)
    page.wait(lambda: page.answers == ["Word"])
    page.press("Stop")
    assert model.stopped.wait(PATIENCE)
    assert page.answers == ["Word"]


@pytest.mark.parametrize("size", [(390, 844), (360, 640), (1280, 900)])
def test_field_and_buttons_are_on_the_first_screen(
    driver: Any, open_page: Callable[[Backend], Page], size: tuple[int, int]
) -> None:
    """On a phone as on a desk nothing has to be scrolled to ask; the letters are the system's."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page = open_page(backend("echo"))
        bottoms = [page.field("Input").rect] + [
            driver.find_element(By.XPATH, f"//button[normalize-space()='{name}']").rect
            for name in ("Send", "Stop")
        ]
        assert all(0 < each["y"] and each["y"] + each["height"] <= size[1] for each in bottoms)
        assert all(each["x"] + each["width"] <= size[0] for each in bottoms)
        family = page.field("Input").value_of_css_property("font-family")
        assert family.startswith("system-ui")
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
