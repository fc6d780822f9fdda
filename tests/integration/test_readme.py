"""What is particular to README.rst; what it says is held by test_documents.py."""

from __future__ import annotations

from configparser import ConfigParser

from documents import HOME, parse, read_tables
from docutils import nodes

from qwen72b.cli.help import TOPICS

DOCUMENT = parse("readme")


def test_commands_of_the_beginning() -> None:
    """The two commands come first; CI runs the second, and the first finds what it installs."""
    blocks = (block for block in DOCUMENT.findall(nodes.literal_block))
    try_it, test_it = next(blocks).astext(), next(blocks).astext()
    ci = (HOME / ".ci" / "run").read_text("utf-8").replace(" --quiet", "").splitlines()
    assert test_it.split(" && ") == ci[-3:]
    assert try_it.split(" && ") == [
        "python3 -m venv .venv",
        '.venv/bin/pip install ".[local]"',
        '.venv/bin/qwen72b --local "What is the capital of France?"',
    ]
    setup = ConfigParser()
    setup.read(HOME / "setup.cfg", "utf-8")
    assert "local" in setup["options.extras_require"]
    assert "qwen72b = qwen72b.cli:main" in setup["options.entry_points"]["console_scripts"]


def test_pictures() -> None:
    """Each picture is there, is small, and is described."""
    pictures = list(DOCUMENT.findall(nodes.image))
    assert len(pictures) >= 3
    for picture in pictures:
        assert picture["alt"]
        assert 0 < (HOME / picture["uri"]).stat().st_size < 150_000


def test_table_of_spaces() -> None:
    """The README says of Spaces what the guide says, and no more."""
    tables = dict(read_tables("shape"))
    assert tables["readme"]
    assert all(row in tables["spaces"] for row in tables["readme"])


def test_topics() -> None:
    """The README names each topic of the guide."""
    named = {literal.astext() for literal in DOCUMENT.findall(nodes.literal)}
    assert set(TOPICS) <= named


def test_length() -> None:
    """What is longer belongs into the guide."""
    assert len((HOME / "README.rst").read_text("utf-8").splitlines()) <= 220
