"""
The way from the text of ``/config`` to an ``Endpoint``.

Nothing about a Space is assumed: the protocol, the prefix of its routes, the
function, its inputs and outputs, the form of its history and its default
system text all come from the configuration that Gradio shows every browser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..errors import EndpointNotFound, InvalidOption, InvalidServerMessage, UnsupportedProtocol
from ..messages import Prompt
from .chat import ChatFormat, encode_history
from .jsontext import NotJSON, TooManyValues, read_json
from .model import DEFAULT_SYSTEM

__all__ = [
    "DOCUMENTED",
    "Endpoint",
    "QueueProtocol",
    "read_config",
]


class QueueProtocol(Enum):
    """
    The dialects of Gradio's queue, by the name that ``/config`` announces.

    * ``sse`` (4.0): the stream opens first, the data follow on ``send_data``.
    * ``sse_v1`` (4.12): join by POST; each message is a whole snapshot.
    * ``sse_v2``, ``sse_v2.1`` (4.19): the first message is whole, later ones are edits.
    * ``sse_v3`` (4.22 and later): and a ``close_stream`` message at the end.
    """

    SSE = "sse"
    SSE_V1 = "sse_v1"
    SSE_V2 = "sse_v2"
    SSE_V2_1 = "sse_v2.1"
    SSE_V3 = "sse_v3"

    @property
    def stream_first(self) -> bool:
        """Whether the stream opens before the data are sent."""
        return self is QueueProtocol.SSE

    @property
    def edits(self) -> bool:
        """Whether messages after the first are edits, not snapshots."""
        return self not in (QueueProtocol.SSE, QueueProtocol.SSE_V1)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    A Space's chat function.

    Args:
        fn_index: The function's number.
        trigger_id: The component whose event calls it; Gradio 4 and later
            ignore it, browsers send it.
        protocol: The queue's dialect.
        prefix: What comes before ``/queue/...`` in a path; ``"/gradio_api"``
            from Gradio 5 on.
        inputs: Default value of each input.
        query: Position of the query among the inputs.
        history: Position of the history.
        system: Position of the system text; ``None`` if the Space has none.
        output: Position of the chatbot among the outputs.
        chat_format: The form of the history.
        version: Gradio's version; empty if unknown.
        api_name: The function's public name; ``None`` if it has none.
    """

    fn_index: int
    trigger_id: int | None
    protocol: QueueProtocol = QueueProtocol.SSE_V3
    prefix: str = ""
    inputs: tuple[Any, ...] = field(default=("", None, DEFAULT_SYSTEM))
    query: int = 0
    history: int = 1
    system: int | None = 2
    output: int = 1
    chat_format: ChatFormat = ChatFormat.PAIRS
    version: str = ""
    api_name: str | None = None

    def data(self, prompt: Prompt) -> list[Any]:
        """
        Write the arguments for a question.

        Args:
            prompt: The question.

        Returns:
            One value for each input, ready for JSON.

        Raises:
            InvalidOption: If the prompt has a system text and the Space takes none.
        """
        if prompt.system is not None and self.system is None:
            raise InvalidOption(
                "this Space takes no system text.", hint="Leave the system message out."
            )
        data = list(self.inputs)
        data[self.query] = prompt.query
        data[self.history] = encode_history(prompt.history, self.chat_format)
        if self.system is not None and prompt.system is not None:
            data[self.system] = prompt.system
        return data

    @property
    def join_path(self) -> str:
        """Path of the join."""
        return f"{self.prefix}/queue/join"

    @property
    def data_path(self) -> str:
        """Path of the stream; under ``sse``, of the upload."""
        return f"{self.prefix}/queue/data"


# The public Space as it was documented in December 2024 (Gradio 4, pairs): one
# Markdown header before the Row gives the input box the id 11. It serves the
# class-level provider where ``/config`` cannot be read.
DOCUMENTED = Endpoint(fn_index=0, trigger_id=11, api_name="model_chat")


def read_config(text: str) -> Endpoint:
    """
    Find the chat function in a Space's configuration.

    It is the function with the ``api_name`` ``model_chat``, else the first
    that takes a textbox, a chatbot and a textbox, else the first that takes a
    textbox and a chatbot; it always returns a chatbot.

    Args:
        text: Body of ``GET /config``.

    Returns:
        The endpoint.

    Raises:
        InvalidServerMessage: If the text is no configuration.
        UnsupportedProtocol: If the Space's queue is not made of server-sent
            events (Gradio 3).
        EndpointNotFound: If the Space has no chat function.
    """
    try:
        config = read_json(text)
    except TooManyValues as exc:
        raise InvalidServerMessage(f"the Space's /config is too large: {exc}.") from exc
    except NotJSON as exc:
        raise InvalidServerMessage(
            f"the Space's /config is not JSON: {exc}.",
            hint="Is the URL that of a Gradio app?",
        ) from exc
    if not isinstance(config, dict) or not isinstance(config.get("dependencies"), list):
        raise InvalidServerMessage(
            "the Space's /config is JSON, but not a Gradio configuration.",
            hint="Is the URL that of a Gradio app?",
        )
    version = config.get("version")
    version = version if isinstance(version, str) else ""
    protocol = _read_protocol(config.get("protocol"), version)
    components = _read_components(config.get("components"))
    position, function = _find_function(config["dependencies"], components)
    inputs, outputs = _ids(function, "inputs"), _ids(function, "outputs")
    kinds = [_kind(components, i) for i in inputs]
    texts = [i for i, kind in enumerate(kinds) if kind in _TEXTBOXES]
    history = kinds.index("chatbot")
    trigger = _read_trigger(function)
    system = _find_system(texts, inputs, trigger, components)
    number = function.get("id")
    prefix = config.get("api_prefix")
    name = function.get("api_name")
    defaults = [_props(components, i).get("value") for i in inputs]
    return Endpoint(
        fn_index=number if type(number) is int and 0 <= number <= _MOST else position,
        trigger_id=trigger,
        protocol=protocol,
        prefix="/" + prefix.strip("/") if isinstance(prefix, str) and prefix.strip("/") else "",
        inputs=tuple(defaults),
        query=next(i for i in texts if i != system),
        history=history,
        system=system,
        output=[_kind(components, i) for i in outputs].index("chatbot"),
        chat_format=_read_chat_format(components[inputs[history]], version),
        version=version,
        api_name=name if isinstance(name, str) else None,
    )


# Numbers beyond it are not the same in every JSON.
_MOST = 2**53

# Characters of a box's label that are looked at.
_MOST_LABEL = 1000

_TEXTBOXES = frozenset({"textbox", "multimodaltextbox"})


def _read_protocol(name: Any, version: str) -> QueueProtocol:
    for protocol in QueueProtocol:
        if protocol.value == name:
            return protocol
    if isinstance(name, str) and name.startswith("sse"):
        # A dialect newer than this package. Each one so far only added to the
        # one before, so the newest known is the best guess.
        return QueueProtocol.SSE_V3
    raise UnsupportedProtocol(
        f"the Space runs Gradio {version or 'in an unknown version'}, whose queue speaks "
        f"{'WebSocket' if name in (None, 'ws') else repr(name)[:40]}.",
        hint="Gradio 4, 5 and 6 are supported; Gradio 3 is not.",
    )


def _read_components(value: Any) -> dict[int, dict[str, Any]]:
    if not isinstance(value, list):
        return {}
    return {
        component["id"]: component
        for component in value
        if isinstance(component, dict) and type(component.get("id")) is int
    }


def _find_function(
    functions: list[Any], components: dict[int, dict[str, Any]]
) -> tuple[int, dict[str, Any]]:
    chats = [
        (position, function)
        for position, function in enumerate(functions)
        if isinstance(function, dict) and _is_chat(function, components)
    ]
    for position, function in chats:
        name = function.get("api_name")
        if isinstance(name, str) and name.lstrip("/") == "model_chat":
            return position, function
    for position, function in chats:
        kinds = [_kind(components, i) for i in _ids(function, "inputs")]
        if kinds == ["textbox", "chatbot", "textbox"]:
            return position, function
    if chats:
        return chats[0]
    raise EndpointNotFound(
        "the Space has no function that takes a text and a chat history and returns a chat.",
        hint="Point base_url or space at a copy of the Qwen2-72B-Instruct Space.",
    )


def _is_chat(function: dict[str, Any], components: dict[int, dict[str, Any]]) -> bool:
    inputs = [_kind(components, i) for i in _ids(function, "inputs")]
    outputs = [_kind(components, i) for i in _ids(function, "outputs")]
    return (
        function.get("backend_fn") is not False
        # None twice: one long default value could otherwise be asked of us a
        # hundred thousand times in one join.
        and len(inputs) == len(set(_ids(function, "inputs")))
        and inputs.count("chatbot") == 1
        and any(kind in _TEXTBOXES for kind in inputs)
        and "chatbot" in outputs
    )


def _find_system(
    texts: list[int],
    inputs: list[int],
    trigger: int | None,
    components: dict[int, dict[str, Any]],
) -> int | None:
    """
    Tell the system text's box from the query's.

    The box that the user submits is the query's; one that says so, or that is
    hidden (the public Space keeps the system text in an invisible box), is
    the system's. Otherwise the query comes first.
    """
    if len(texts) < 2:
        return None
    others = [i for i in texts if inputs[i] != trigger] or texts[1:]
    for i in others:
        props = _props(components, inputs[i])
        label = props.get("label")
        named = isinstance(label, str) and "system" in label[:_MOST_LABEL].lower()
        if named or props.get("visible") is False:
            return i
    return others[-1]


def _read_trigger(function: dict[str, Any]) -> int | None:
    """Read the id of the first target; ``targets`` may be empty, or hold nulls, for ``.then`` and ``.load``."""
    targets = function.get("targets")
    first = targets[0] if isinstance(targets, list) and targets else None
    trigger = first[0] if isinstance(first, list) and first else first
    return trigger if type(trigger) is int else None


def _read_chat_format(chatbot: dict[str, Any], version: str) -> ChatFormat:
    """
    Read the form of a Chatbot's value.

    Gradio 4.44 and 5 name it in ``props.type``. Gradio 6 has one form and 4.0
    to 4.43 have another, and name neither.
    """
    major = re.match(r"\d{1,4}", version)
    if major and int(major[0]) >= 6:
        return ChatFormat.PARTS
    named = chatbot["props"].get("type") if isinstance(chatbot.get("props"), dict) else None
    info = chatbot.get("api_info")
    title = info.get("title") if isinstance(info, dict) else None
    if named == "messages" or (named != "tuples" and title == "ChatbotDataMessages"):
        return ChatFormat.ROLES
    return ChatFormat.PAIRS


def _ids(function: dict[str, Any], key: str) -> list[int]:
    value = function.get(key)
    if not isinstance(value, list) or not all(type(i) is int for i in value):
        return []
    return value


def _kind(components: dict[int, dict[str, Any]], number: int) -> str:
    kind = components.get(number, {}).get("type")
    return kind if isinstance(kind, str) else ""


def _props(components: dict[int, dict[str, Any]], number: int) -> dict[str, Any]:
    props = components.get(number, {}).get("props")
    return props if isinstance(props, dict) else {}
