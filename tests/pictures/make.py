"""
Makes the pictures of README.rst: ``python tests/pictures/make.py``.

Run it by hand, and look at what it made: the model's words differ between
releases of llama.cpp. It needs the package with its extras local and test, and
besides nbconvert, Pillow, selenium and a Chromium with its driver (Debian:
chromium, chromium-driver). Nothing is staged: the commands, the notebook and
the page are run as they are shown, with the local Space's small model.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nbconvert import HTMLExporter
from PIL import Image
from rich.console import Console
from rich.text import Text
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from qwen72b.local import backend, running

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from execute_example import execute_example  # it lies beside this folder

COLUMNS, LINES = 88, 40

COMMANDS = (
    'qwen72b --local "What is the capital of France?"',
    'qwen72b --local -q -x "Write a Python function that reverses a string."',
    'qwen72b --local -q --json "Say hello." | tail -n 1',
    'qwen72b --url http://127.0.0.1:9 "Hello"',
)

# Of the example notebook's cells with code, so many from its top.
SHOWN_CELLS = 4

# Rich's own frame, but for a font that a browser would have to fetch.
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; \
line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""

# As in tests/live/test_browser.py.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def main() -> None:
    """Make all three pictures."""
    for name in ("QWEN72B_BASE_URL", "HF_TOKEN"):
        os.environ.pop(name, None)
    draw_terminal(HERE / "terminal.svg")
    with running(backend("smollm2", progress=sys.stderr)) as url, browser() as driver:
        draw_page(driver, url, HERE / "browser.png")
        draw_notebook(driver, url, HERE / "notebook.png")
        # Hang up before the Space stops, else the page reconnects for ever.
        driver.get("about:blank")


def draw_terminal(target: Path) -> None:
    """Run the commands in a shell on a terminal, and draw what is on it then."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command in COMMANDS:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text.from_ansi(run_on_terminal(command).rstrip("\n")))
        if command != COMMANDS[-1]:
            console.print()
    target.write_text(console.export_svg(title="qwen72b", code_format=FRAME, unique_id="terminal"))


def run_on_terminal(command: str) -> str:
    """Run a shell's command line on a terminal; give what stays on it."""
    process, screen = pty.fork()
    if not process:
        # Of the environment that runs this script.
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        os.environ["TERM"] = "xterm-256color"
        os.execvp("sh", ["sh", "-c", command])
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    seen = b""
    while more := read_some(screen):
        seen += more
    os.close(screen)
    os.waitpid(process, 0)
    text = seen.decode().replace("\r\n", "\n")
    # The beginning of a word is taken back where the whole is too long for its line.
    while back := re.search(r"\x1b\[(\d+)D\x1b\[K", text):
        text = text[: back.start() - int(back[1])] + text[back.end() :]
    # A status line is written over; what is after its last erasure stays.
    lines = text.split("\n")
    return "\n".join(line.rpartition("\x1b[2K")[2].replace("\r", "") for line in lines)


def read_some(screen: int) -> bytes:
    """Read what comes next on a terminal; nothing at its end."""
    try:
        return os.read(screen, 65536)
    except OSError:
        # How Linux says that the other end was closed.
        return b""


@contextmanager
def browser() -> Iterator[Any]:
    """Run a headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    with TemporaryDirectory() as folder:
        for flag in (*FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        service = webdriver.ChromeService(str(shutil.which("chromedriver")))
        driver = webdriver.Chrome(options=options, service=service)
        yield driver
        driver.quit()


def draw_page(driver: Any, url: str, target: Path) -> None:
    """Ask a question on the local Space's page, and draw it with the answer."""
    driver.set_window_size(1100, 900)
    driver.get(url)
    wait = WebDriverWait(driver, 60)
    path = "//label[.//span[normalize-space()='Input']]//textarea"
    field = wait.until(lambda _: driver.find_elements(By.XPATH, path))[0]
    field.send_keys("What is the capital of France?" + Keys.ENTER)
    # The page does not say when an answer is there; then it stays as it is.
    seen = [""]

    def still(_: Any) -> bool:
        bubbles = driver.find_elements(By.CSS_SELECTOR, "[data-testid=bot]")
        seen.append(bubbles[0].text if bubbles else "")
        return seen[-1] != "" and seen[-1] == seen[-2]

    WebDriverWait(driver, 60, poll_frequency=2).until(still)
    save(driver, target)


def draw_notebook(driver: Any, url: str, target: Path) -> None:
    """Execute the example notebook, and draw the top of its page."""
    with TemporaryDirectory() as folder:
        os.environ["QWEN72B_BASE_URL"] = url
        execute_example(Path(folder))
        # Without the scripts and fonts that the full page would fetch.
        exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="")
        page = Path(folder, "notebook.html")
        page.write_text(exporter.from_filename(str(Path(folder, "executed.ipynb")))[0])
        driver.set_window_size(1000, 1100)
        driver.get(page.as_uri())
        # The export's own style breaks words, and shows code in answers as text.
        style = "pre { word-break: normal !important; font-family: monospace !important }"
        add = (
            "document.head.appendChild(document.createElement('style')).textContent = arguments[0]"
        )
        driver.execute_script(add, style)
        top = "return document.querySelectorAll('.jp-CodeCell')[arguments[0]].offsetTop"
        save(driver, target, height=driver.execute_script(top, SHOWN_CELLS))


def save(driver: Any, target: Path, *, height: int | None = None) -> None:
    """Save what the browser shows, or the top of it, in 256 colours: a third of the size."""
    driver.execute_async_script("document.fonts.ready.then(arguments[0])")
    shown = Image.open(io.BytesIO(driver.get_screenshot_as_png()))
    shown = shown.crop((0, 0, shown.width, min(height or shown.height, shown.height)))
    shown.convert("RGB").quantize(256).save(target, optimize=True)


if __name__ == "__main__":
    main()
