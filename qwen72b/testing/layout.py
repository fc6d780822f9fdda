"""
Layout of the Space's page, and the ``/config`` document that describes it.

Strategy: the components and events of the public Qwen2-72B app, numbered as
Gradio numbers them, which is the same in every version measured: with one
Markdown header the input box has id 11 and ``model_chat`` is dependency 0.
The document that comes out is a plain dictionary for the test to change
further; `FakeSpace` reads it back on every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .dialect import Dialect

__all__ = ["Layout", "Role"]

Role = Literal["query", "chat", "system", "extra"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """
    The app's page.

    Attributes:
        headers: Markdown components before the rest; each moves every id up by
            one, and with them the ``trigger_id``.
        first_dependencies: Events of other functions that stand before
            ``model_chat`` and move its ``fn_index`` up.
        api_name: The chat function's name; None leaves it out, as Gradio 3
            does, False hides it.
        inputs: The order of the function's arguments. ``"extra"`` is a slider.
        outputs: The order of the function's results.
        system: The system text that the page shows.
    """

    headers: int = 1
    first_dependencies: int = 0
    api_name: str | Literal[False] | None = "model_chat"
    inputs: tuple[Role, ...] = ("query", "chat", "system")
    outputs: tuple[Role, ...] = ("query", "chat", "system")
    system: str = "You are a helpful assistant."

    @property
    def fn_index(self) -> int:
        """The chat function's number."""
        return self.first_dependencies

    @property
    def trigger_id(self) -> int:
        """The input box's id."""
        return self._id("query")

    def _id(self, role: Role, *, output: bool = False) -> int:
        places: dict[Role, int] = {"query": 10, "chat": 9, "system": 7, "extra": 15}
        # The answer's system text goes to the visible box, not to the state.
        return self.headers + (3 if output and role == "system" else places[role])

    def roles(self) -> dict[int, Role]:
        """Say which component plays which part, by id; both system boxes play theirs."""
        parts: tuple[Role, ...] = ("query", "chat", "system", "extra")
        return {self._id(role): role for role in parts} | {
            self._id("system", output=True): "system"
        }

    def config(self, dialect: Dialect, root: str) -> dict[str, Any]:
        """
        Write the document that ``GET /config`` gives.

        Args:
            dialect: The version that shows it.
            root: The server's own address; shown from Gradio 4.19 on.
        """
        document: dict[str, Any] = {
            "version": dialect.version,
            "mode": "blocks",
            "app_id": 10791574303460973136,
            "dev_mode": False,
            "analytics_enabled": False,
            "title": "Gradio",
            "space_id": None,
            "enable_queue": True,
            "show_error": False,
            "components": self._components(dialect),
            "dependencies": self._dependencies(dialect),
            "layout": {"id": 0, "children": []},
            "root": root if dialect.diffs else "",
        }
        if dialect.protocol != "ws":
            document["protocol"] = dialect.protocol
        if dialect.prefix:
            document["api_prefix"] = dialect.prefix
        return document

    def _components(self, dialect: Dialect) -> list[dict[str, Any]]:
        chatbot: dict[str, Any] = {"value": [], "label": "qwen2-72B-instruct", "visible": True}
        if dialect.typed_chatbot:
            chatbot["type"] = "tuples" if dialect.chat == "pairs" else "messages"
        title = "ChatbotData"
        if dialect.typed_chatbot or dialect.chat != "pairs":
            title += "Tuples" if dialect.chat == "pairs" else "Messages"
        system = {"value": self.system, "type": "text"}
        rows: list[tuple[str, dict[str, Any]]] = [
            *(("markdown", {"value": f"<center>Header {n}</center>"}) for n in range(self.headers)),
            ("row", {}),
            ("column", {}),
            ("textbox", {**system, "label": "System", "visible": True}),
            ("form", {}),
            ("column", {}),
            ("button", {"value": "Set system prompt and clear history"}),
            ("textbox", {**system, "visible": False}),
            ("form", {}),
            ("chatbot", chatbot),
            ("textbox", {"label": "Input", "visible": True, "type": "text"}),
            ("row", {}),
            ("button", {"value": "Clear history"}),
            ("button", {"value": "Send"}),
            ("form", {}),
            ("slider", {"label": "Temperature", "value": 0.7, "visible": True}),
        ]
        components: list[dict[str, Any]] = []
        for number, (kind, props) in enumerate(rows, start=1):
            if kind == "slider" and "extra" not in self.inputs + self.outputs:
                continue
            component: dict[str, Any] = {
                "id": number,
                "type": kind,
                "props": {**props, "name": kind},
            }
            if kind == "textbox":
                component["api_info"] = {"type": "string"}
            elif kind == "chatbot":
                component["api_info"] = {"title": title}
            components.append(component)
        return components

    def _dependencies(self, dialect: Dialect) -> list[dict[str, Any]]:
        inputs = [self._id(role) for role in self.inputs]
        outputs = [self._id(role, output=True) for role in self.outputs]
        base = self.headers
        twin = f"{self.api_name}_1" if self.api_name else self.api_name
        send, clear, change = base + 13, base + 12, base + 6
        shown: list[tuple[list[Any], list[int], list[int], Any, bool]] = [
            *(([None, "load"], [], [], f"load_{n}", False) for n in range(self.first_dependencies)),
            ([self.trigger_id, "submit"], inputs, outputs, self.api_name, True),
            ([send, "click"], inputs, outputs, twin, True),
            ([clear, "click"], [], outputs[:2], "clear_session", False),
            (
                [change, "click"],
                [base + 3],
                [base + 7, base + 3, base + 9],
                "modify_system_session",
                False,
            ),
        ]
        dependencies: list[dict[str, Any]] = []
        for number, (target, takes, gives, name, generator) in enumerate(shown):
            dependency: dict[str, Any] = {
                "targets": [target],
                "inputs": takes,
                "outputs": gives,
                "backend_fn": True,
                "js": None,
                "queue": True if dialect.numbered else None,
                "api_name": name,
                "batch": False,
                "cancels": [],
                "types": {"generator": generator, "cancel": False},
                "trigger_after": None,
            }
            dependencies.append({"id": number, **dependency} if dialect.numbered else dependency)
        return dependencies
