"""
What the lab app answers: one script per prompt, known to app and tests alike.

The app (``lab_app.py``) plays a script to Gradio, the tests ask the same table
what the true text was. A prompt ``#lab:NAME`` or ``#lab:NAME:TOKEN`` picks a
script; any other prompt is echoed. This module imports no Gradio, so that the
test process never loads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["DEFAULT_SYSTEM", "HISTORY_SHAPES", "SCRIPTS", "Script", "script_for", "split_prompt"]

DEFAULT_SYSTEM = "You are a helpful assistant."
_MARK = "#lab:"


@dataclass(frozen=True)
class Script:
    """
    One scripted answer.

    Args:
        parts: Pieces of the answer, or whole answers if not ``appends``.
        appends: Each part is added to those before; else each replaces them.
        delay: Seconds before each part but the first.
        failure: What is raised after the last part: ``"gr.Error"``,
            ``"gr.Error hidden"`` or ``"ValueError"``; empty for none.
        words: The words of the failure.
        extra: What else the app does while it answers: ``"log"``,
            ``"progress"``, ``"update"``, ``"shape"``, ``"endless"`` or
            ``"gate"``.
    """

    parts: Sequence[str] = ()
    appends: bool = True
    delay: float = 0.005
    failure: str = ""
    words: str = ""
    extra: str = ""

    @property
    def text(self) -> str:
        """The app's last whole answer."""
        return "".join(self.parts) if self.appends else "".join(self.parts[-1:])

    def snapshots(self) -> Iterator[str]:
        """Yield the whole answer so far, after each part."""
        answer = ""
        for part in self.parts:
            answer = answer + part if self.appends else part
            yield answer


def _cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _words(text: str) -> list[str]:
    first, *others = text.split(" ")
    return [first, *(" " + word for word in others)]


ENGLISH = (
    "Good morning! The lab says this sentence word by word, twice if it must: 7, 8, 9.25; "
    "\"double\" and 'single' quotes, a back\\slash and 100 % of the rest."
)
CHINESE = (
    "早上好!这里是测试用的模型。它一个字一个字地回答,好让客户端和原文核对。"
    "标点也要一样:“引号”、《书名》、破折号——还有省略号……"
)
EMOJI = [
    *("Faces ", "😀", "🥲", " family ", "👨", "\u200d👩", "\u200d👦", " flag ", "🇯", "🇵", " hand "),
    *(
        "👋",
        "🏾",
        " heart ",
        "❤",
        "\ufe0f",
        "\u200d🩹",
        " mark e",
        "\u0301",
        " key 3",
        "\ufe0f\u20e3",
    ),
    *(" script 𝒬", "𝓌", " end 🎈"),
]
CODE = (
    "A loop:\n\n```python\nfor n in range(3):\n    if n % 2:\n        print(n)\n\n\n"
    "class Counter:\n    def next(self):\n        return '\\n'\n```\n\nThat was it."
)
NESTED_LIST = "1. Bread\n   - white\n   - brown\n2. Butter\n   - salted\n     - a little\n\nEnough."
TABLE = (
    "| Fruit | Price |\n|:------|------:|\n| fig   |  1.50 |\n| a \\| b |     2 |\n\n"
    "**bold**, _thin_, `code`, [link](https://example.org) and ~~gone~~\n\n> quoted\n\n---"
)
HTML = (
    "<i>thin</i> & <script>alert('no')</script> <think>quiet</think> 3 < 4 && 4 > 3 <hr/> "
    "&lt; \\(a^2\\) $$\\frac{3}{4}$$ \\t is not a tab, \\\\ is two"
)
LINE_SEPARATORS = [
    *(
        "a\u2028",
        "b\u2029",
        "c\x85",
        "d\x0b",
        "e\x0c",
        "f\x1c",
        "g\x1d",
        "h\x1e",
        "i\x00",
        "j\ufeff",
    ),
    *("k\u200b", "l data: m\n\ndata: n", "\n\nevent: o\n\n", "p\r", "\nq\r", "r"),
]

SCRIPTS = {
    "english": Script(_words(ENGLISH)),
    "chinese": Script(_cut(CHINESE, 2)),
    "emoji": Script(EMOJI),
    "code": Script(_cut(CODE, 5)),
    "table": Script(_cut(TABLE, 6)),
    "html": Script(_cut(HTML, 7)),
    "linesep": Script(LINE_SEPARATORS),
    # A chatbot takes indentation away as long as every line after the first
    # has some: these four are what it makes rewind.
    "nested_list": Script(_cut(NESTED_LIST, 5)),
    "indented": Script(_cut("    if x:\n        y()\n\n    z()\nback here\n    and in", 4)),
    "indent_late": Script(_cut("Opening\n    inner\n        innermost\nouter\n    last", 4)),
    "indent_all": Script(_cut("    one\n    two\n        three\n    four", 4)),
    "whitespace": Script(["  ", "\n", "\n", "  first", " and", "   ", "\n\n", "last", " \n", " "]),
    "blank_lines": Script(["one", "\n", "\n", "two", "  ", "\n\n\n", "three", "\t", "\n"]),
    "repeats": Script(["no", "no", "no", " ", "no", "?", "?", "?"]),
    "listlike": Script(['["append", [0, 1], "x"]', " is no edit, ", "[4", ", ", "5]", "[", "]"]),
    "listlike_whole": Script(["[0", ", ", "1", "]"]),
    "unchanged": Script(["same", "", "", " still", ""]),
    "empty_then_text": Script(["", "", "at last", "!"]),
    "empty": Script([""]),
    "no_yield": Script(),
    "single": Script(["All of it at once."]),
    "burst": Script([f"b{n} " for n in range(60)], delay=0),
    "tokens300": Script([f"t{n} " for n in range(300)] + ["end"], delay=0),
    "tokens2000": Script([f"t{n} " for n in range(2000)] + ["end"], delay=0),
    "big100k": Script(_cut("".join(f"{n:07d}:" for n in range(12_500)), 2_000), delay=0),
    "longline": Script(["0123456789abcdef" * 4096], delay=0),
    "slow_tokens": Script(_words("Each word takes its time."), delay=0.3),
    "rewrite": Script(
        ["Thinking...", "The capitol", "The capital", "The capital is Rome", "Paris", "Paris."],
        appends=False,
    ),
    "gr_error_first": Script(failure="gr.Error", words="No answer today."),
    "gr_error_mid": Script(
        _words("Half of an"), failure="gr.Error", words="The model fell asleep."
    ),
    "gr_error_hidden": Script(failure="gr.Error hidden", words="Kept from the page."),
    # Up to 5.0 the words travel as a Python literal: quotes and all.
    "gr_error_quotes": Script(failure="gr.Error", words='It\'s "over"\nfor \\ 今天'),
    "exception_first": Script(failure="ValueError", words="upstream refused"),
    "exception_mid": Script(
        _words("Then it broke"), failure="ValueError", words="upstream went away"
    ),
    "log": Script(_words("Words between the notes."), extra="log"),
    "progress": Script(_words("Words after the bars."), extra="progress"),
    "update": Script(_words("Words beside other outputs."), extra="update"),
    "shape": Script(["final"], extra="shape"),
    "gate": Script(["Waiting", " and", " released."], extra="gate"),
    "endless": Script(["tick "], extra="endless", delay=0.02),
}

# What "shape" makes of the turn: a list of (user, assistant) pairs per yield,
# Ellipsis for the user's own text. Turns come, grow, shift and go.
HISTORY_SHAPES: list[list[tuple[object, str | None]]] = [
    [],
    [(..., None)],
    [(..., "")],
    [(..., "a")],
    [(..., "ab"), ("x", "y")],
    [(..., "ab"), ("x", "y"), ("p", "q")],
    [(..., "ab!"), ("p", "q")],
    [],
    [(..., "final")],
]


def split_prompt(prompt: str) -> tuple[str, str]:
    """Return the script's name and the token of a prompt; both may be empty."""
    if not prompt.startswith(_MARK):
        return "", ""
    name, _, token = prompt.removeprefix(_MARK).partition(":")
    return name, token


def script_for(prompt: str, pairs: Sequence[Sequence[str | None]], system: str) -> Script:
    """
    Return what the app answers.

    Args:
        prompt: The user's new message.
        pairs: The turns before it, as (user, assistant).
        system: The system text.
    """
    name, _ = split_prompt(prompt)
    if name == "history":
        return Script(["HISTORY=" + json.dumps(pairs, ensure_ascii=False)])
    if name == "system":
        return Script(["SYSTEM=" + json.dumps(system, ensure_ascii=False)])
    if name == "prompt":
        return Script(["PROMPT=" + json.dumps(prompt, ensure_ascii=False)])
    if name:
        return SCRIPTS[name]
    return Script(_words("You wrote: " + prompt))
