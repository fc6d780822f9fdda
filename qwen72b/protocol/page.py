"""
The components and functions of a Space's page, as its ``/config`` lists them.

Reading is lenient where a stranger's page may hold anything: what is malformed
is left out, and a component of an unknown type is one like any other. What the
words on the page mean is told by ``labels``, and what to do with it by ``choose``.

Above 300 lines: the docstrings of what a page is made of.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import InvalidServerMessage
from .chat import ChatFormat
from .config import QueueProtocol, read_protocol
from .jsontext import NotJSON, TooManyValues, read_json

__all__ = ["TEXT_BOXES", "Component", "Function", "Page", "fold_label", "read_page"]

TEXT_BOXES = frozenset({"textbox", "multimodaltextbox"})

_I18N = r'__i18n__.*"key": *"([^"]+)"'

# Characters that stand for themselves in a path (RFC 3986, section 3.3), and
# those of other languages, which requests escapes.
_PREFIX = r"(?!.*://)[^\s?#\\<>\"\x00-\x1f\x7f-\x9f\ud800-\udfff]+"
_MOST_PREFIX = 1000

# Numbers beyond it are not the same in every JSON.
_MOST = 2**53

# Characters of a label that are looked at, and inputs of one function.
_MOST_LABEL = 300
_MOST_INPUTS = 1000

# The server keeps their values by session hash; a browser sends null for them.
_STATES = frozenset({"state", "variable"})


class Component(NamedTuple):
    """
    A component of the page.

    Args:
        id: Its number.
        kind: Gradio's name of its type, such as ``"textbox"``.
        props: What the page says of it.
        form: The form of its value, if it is a Chatbot.
    """

    id: int
    kind: str
    props: Mapping[str, Any]
    form: ChatFormat = ChatFormat.PAIRS

    @property
    def is_text_box(self) -> bool:
        """Whether a person can type text into it."""
        return self.kind in TEXT_BOXES and self.props.get("interactive") is not False

    @property
    def is_state(self) -> bool:
        """Whether the server keeps its value."""
        return self.kind in _STATES

    @property
    def is_hidden(self) -> bool:
        """Whether nobody sees it; Gradio 6 says ``"hidden"`` for what is only not shown."""
        return self.props.get("visible") in (False, "hidden")

    @property
    def value(self) -> Any:
        """The value that it has when the page opens."""
        if self.is_state:
            return None
        return self.props.get("value", self.props.get("default_value"))

    def text(self, *names: str) -> str:
        """Return the first of some properties that is text and not blank; empty if none is."""
        for name in names:
            value = self.props.get(name)
            if isinstance(value, str) and value.strip():
                # Gradio 6 leaves the choice of the language to the browser.
                value = value.strip()[:_MOST_LABEL]
                key = value.startswith("__i18n__") and re.match(_I18N, value)
                return key[1] if key else value
        return ""

    @property
    def label(self) -> str:
        """What people call it: its label, else what else is written there, else type and number."""
        return self.text("label", "placeholder", "elem_id") or f"{self.kind} {self.id}"

    @property
    def names(self) -> frozenset[str]:
        """What callers may call it, folded: its label, or its type and number."""
        return frozenset((fold_label(self.label), fold_label(f"{self.kind} {self.id}")))


class Function(NamedTuple):
    """
    A function of the app, with what calls it: a dependency of ``/config``.

    Args:
        id: Its number, ``fn_index`` on the wire.
        targets: Who calls it: a component (``None`` for none) and its event.
        inputs: Numbers of the components whose values it takes.
        outputs: Numbers of the components that it sets.
        api_name: Its public name, without a slash; ``None`` if it has none.
        after: The function after which it is called; ``None`` if a component
            calls it.
        generator: Whether it gives its outputs many times.
        callable: Whether it runs on the server; else it is JavaScript of the page.
        timed: Whether it is called by a clock, again and again.
        rescue: Whether it is called only after a failure.
    """

    id: int
    targets: tuple[tuple[int | None, str], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    api_name: str | None
    after: int | None
    generator: bool
    callable: bool
    timed: bool = False
    rescue: bool = False


class Page(NamedTuple):
    """
    What ``/config`` says, read.

    Args:
        version: Gradio's version; empty if unknown.
        protocol: The queue's dialect.
        prefix: What comes before ``/queue/...`` in a path.
        components: The components by number.
        functions: The functions by number, in the page's order.
        after: The functions that follow one, by its number.
    """

    version: str
    protocol: QueueProtocol
    prefix: str
    components: Mapping[int, Component]
    functions: Mapping[int, Function]
    after: Mapping[int, Sequence[Function]]

    def component(self, number: int) -> Component:
        """Return a component; one that the page does not describe has no known type."""
        found = self.components.get(number)
        return Component(number, "component", {}) if found is None else found

    def followers(self, number: int) -> Iterator[Function]:
        """Walk over the functions that are called right after one that went well."""
        return (each for each in self.after.get(number, ()) if not each.rescue)


def read_page(text: str) -> Page:
    """
    Read a Space's configuration.

    Args:
        text: Body of ``GET /config``.

    Returns:
        The page.

    Raises:
        InvalidServerMessage: If the text is no configuration.
        UnsupportedProtocol: If the Space's queue is not made of server-sent
            events (Gradio 3).
    """
    try:
        config = read_json(text)
    except TooManyValues as exc:
        raise InvalidServerMessage(f"the Space's /config is too large: {exc}.") from exc
    except NotJSON as exc:
        raise InvalidServerMessage(
            f"the Space's /config is not JSON: {exc}.", hint="Is the URL that of a Gradio app?"
        ) from exc
    if not isinstance(config, dict) or not isinstance(config.get("dependencies"), list):
        raise InvalidServerMessage(
            "the Space's /config is JSON, but not a Gradio configuration.",
            hint="Is the URL that of a Gradio app?",
        )
    version = config.get("version")
    version = version if isinstance(version, str) else ""
    functions = {
        function.id: function
        for i, item in enumerate(config["dependencies"])
        if (function := _read_function(item, i)) is not None
    }
    after: dict[int, list[Function]] = {}
    for function in functions.values():
        if function.after is not None:
            after.setdefault(function.after, []).append(function)
    return Page(
        version,
        read_protocol(config.get("protocol"), version),
        _read_prefix(config.get("api_prefix")),
        _read_components(config.get("components"), version),
        functions,
        after,
    )


def _read_prefix(value: Any) -> str:
    """Read what comes before a path; it may not lead to another server, or hold a query."""
    if not isinstance(value, str) or not value.strip("/"):
        return ""
    prefix = "/" + value.strip("/")
    if len(prefix) > _MOST_PREFIX or re.fullmatch(_PREFIX, prefix) is None:
        raise InvalidServerMessage(
            f"the Space's /config names an api_prefix that is no path: {prefix[:100]!r}."
        )
    return prefix


def _read_components(value: Any, version: str) -> dict[int, Component]:
    found: dict[int, Component] = {}
    for item in value if isinstance(value, list) else ():
        if not isinstance(item, dict) or type(item.get("id")) is not int:
            continue
        props = item.get("props")
        props = props if isinstance(props, dict) else {}
        kind = item.get("type")
        kind = kind if isinstance(kind, str) else "component"
        info = item.get("api_info")
        title = info.get("title") if isinstance(info, dict) else None
        form = _read_form(props.get("type"), title, version)
        found.setdefault(item["id"], Component(item["id"], kind, props, form))
    return found


def _read_form(named: Any, title: Any, version: str) -> ChatFormat:
    """
    Read the form of a Chatbot's value.

    Gradio 4.44 and 5 name it in ``props.type``. Gradio 6 has one form and 4.0
    to 4.43 have another, and name neither.
    """
    major = re.match(r"\d{1,4}", version)
    if major and int(major[0]) >= 6:
        return ChatFormat.PARTS
    if named == "messages" or (named != "tuples" and title == "ChatbotDataMessages"):
        return ChatFormat.ROLES
    return ChatFormat.PAIRS


def _read_function(item: Any, position: int) -> Function | None:
    if not isinstance(item, dict):
        return None
    inputs, outputs = _ids(item.get("inputs")), _ids(item.get("outputs"))
    if inputs is None or outputs is None:
        return None
    if len(inputs) > _MOST_INPUTS or len(inputs) != len(set(inputs)):
        # One long default value could otherwise be asked of us a hundred
        # thousand times in one join.
        return None
    types = item.get("types")
    number, name, after = item.get("id"), item.get("api_name"), item.get("trigger_after")
    return Function(
        id=number if type(number) is int and 0 <= number <= _MOST else position,
        targets=_read_targets(item.get("targets")),
        inputs=inputs,
        outputs=outputs,
        api_name=name.lstrip("/") if isinstance(name, str) else None,
        after=after if type(after) is int else None,
        generator=isinstance(types, dict) and types.get("generator") is True,
        callable=item.get("backend_fn") is not False,
        timed=bool(item.get("every")),
        rescue=bool(item.get("trigger_only_on_failure")),
    )


def _read_targets(value: Any) -> tuple[tuple[int | None, str], ...]:
    """Read who calls a function; ``.then`` and ``load`` may name no component, or nothing at all."""
    found: list[tuple[int | None, str]] = []
    for target in value if isinstance(value, list) else ():
        number, event = (*target, None, None)[:2] if isinstance(target, list) else (target, None)
        found.append(
            (
                number if type(number) is int else None,
                event if isinstance(event, str) else "",
            )
        )
    return tuple(found)


def _ids(value: Any) -> tuple[int, ...] | None:
    """Read a list of component numbers; ``None`` if it is none, so that no place can be told."""
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        return None
    return tuple(value)


def fold_label(text: str, *, blanks: bool = False) -> str:
    """
    Write a label so that case, width and punctuation do not count.

    Args:
        text: The label.
        blanks: Whether to keep words apart, ``camelCase`` and ``snake_case`` too.
    """
    # Cut again, since one character may become eighteen.
    text = unicodedata.normalize("NFKC", text[:_MOST_LABEL])[:_MOST_LABEL]
    if blanks:
        text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text)
    return re.sub(r"[\W_]+", " " if blanks else "", text.casefold()).strip()
