"""Choosing, over pages drawn at random: what is told of no page in particular."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qwen72b import EndpointNotFound
from qwen72b.messages import Prompt
from qwen72b.protocol.candidates import MOST_STEPS
from qwen72b.protocol.choose import choose
from qwen72b.protocol.fill import fill
from qwen72b.protocol.page import read_page

# What people write at boxes, by what the boxes are for.
LABELS = {
    "question": [
        *("Message", "Input", "Ask me anything", "Your question", "Prompt", "Chat", "", "Eingabe"),
        *(
            "输入",
            "请输入问题",
            "メッセージ",
            "Сообщение",
            "질문을 입력하세요",
            "Pregunta",
            "Votre texte",
        ),
    ],
    "system": [
        *("System", "System prompt", "SYSTEM MESSAGE", "system_prompt", "System instructions"),
        *(
            "系统提示词",
            "系統提示",
            "システムプロンプト",
            "Системный промпт",
            "Mensaje del sistema",
        ),
    ],
    "setting": [
        *("URL", "Website link", "User name", "E-mail", "Model ID", "File path", "Language"),
        *(
            "网址",
            "用户名",
            "模型",
            "Имя",
            "Ссылка",
            "モデル",
            "Nombre",
            "Adresse",
            "Stop sequence",
        ),
        *("OpenAI API key", "HF token", "密钥", "Passwort", "Contraseña", "Пароль", "クエリ用キー"),
    ],
}
EVENTS = ("submit", "click", "load", "change", "", "select")


@st.composite
def pages(draw: st.DrawFn) -> tuple[dict[str, Any], dict[int, str]]:
    """A page, and what each of its text boxes is for."""
    ids = draw(st.lists(st.integers(0, 999), min_size=3, max_size=12, unique=True))
    roles: dict[int, str] = {}
    components = []
    for number in ids:
        kind = draw(
            st.sampled_from(
                [
                    "textbox",
                    "textbox",
                    "textbox",
                    "multimodaltextbox",
                    "chatbot",
                    "chatbot",
                    "state",
                    "button",
                    "slider",
                    "markdown",
                    "hologram",
                ]
            )
        )
        props: dict[str, Any] = {}
        if "textbox" in kind:
            role = draw(st.sampled_from(sorted(LABELS)))
            props["label"] = draw(st.sampled_from(LABELS[role]))
            if role == "setting" and draw(st.booleans()):
                props |= {"label": "", "type": "password"}
            roles[number] = role
            props["value"] = f"default {number}"
        if kind == "button":
            props["value"] = draw(st.sampled_from(["Send", "发送", "Clear", "🔄", "", "Go"]))
        if draw(st.integers(0, 5)) == 0:
            props["visible"] = False
        components.append({"id": number, "type": kind, "props": props})
    boxes, chats = list(roles), [c["id"] for c in components if c["type"] == "chatbot"]
    numbers = st.lists(st.sampled_from(ids), max_size=4)
    functions = []
    size = draw(st.integers(1, 16))
    for i in range(size):
        trigger, event = draw(st.sampled_from(ids)), draw(st.sampled_from(EVENTS))
        inputs, outputs = draw(numbers), draw(numbers)
        after = draw(st.one_of(st.none(), st.none(), st.integers(0, size)))
        if boxes and draw(st.integers(0, 2)):
            # As people write it: a box is submitted, or clicked for, and read.
            trigger = draw(st.sampled_from(boxes))
            event = draw(st.sampled_from(["submit", "click"]))
            inputs.insert(draw(st.integers(0, len(inputs))), trigger)
        if chats and draw(st.integers(0, 2)):
            outputs.append(draw(st.sampled_from(chats)))
        functions.append(
            {
                "id": i,
                "targets": draw(st.sampled_from([[[trigger, event]], [[None, "then"]], []])),
                "inputs": inputs,
                "outputs": outputs,
                "api_name": draw(st.sampled_from([None, f"f{i}", "model_chat"])),
                "trigger_after": after,
                "backend_fn": draw(st.integers(0, 9)) > 0,
                "types": {"generator": draw(st.booleans())},
            }
        )
    version = draw(st.sampled_from(["4.0.2", "4.44.1", "5.50.0", "6.31.0", "9.0"]))
    config = {
        "version": version,
        "protocol": "sse_v3",
        "components": components,
        "dependencies": functions,
    }
    return config, roles


@given(pages(), st.sampled_from([None, None, None, 0, 3, "model_chat"]))
def test_text_goes_where_it_belongs_or_nowhere(
    drawn: tuple[dict[str, Any], dict[int, str]], endpoint: str | int | None
) -> None:
    """
    Choosing gives a plan or EndpointNotFound.

    A plan names no box twice, ends, and puts neither the question nor the
    system text into a box that is for something else.
    """
    config, roles = drawn
    try:
        plan = choose(read_page(json.dumps(config)), endpoint=endpoint)
    except EndpointNotFound:
        return

    named = [plan.query, plan.answer, *(setting.component for setting in plan.settings)]
    named += [] if plan.system is None else [plan.system]
    assert len(set(named)) == len(named), named
    assert len(plan.steps) <= MOST_STEPS
    assert 0 <= plan.output < len(plan.steps[-1].outputs)
    if endpoint is None:
        assert roles[plan.query] == "question"
    assert plan.system is None or roles[plan.system] == "system"

    filled = fill(plan, Prompt("QUESTION", (("user", "u"), ("assistant", "a")), "SYSTEM"))
    sent = {
        number: value
        for step in filled.steps
        for number, value in zip(step.inputs, filled.data(step), strict=True)
    }
    for number, value in sent.items():
        written = json.dumps(value)
        assert "QUESTION" not in written or number == plan.query
        assert "SYSTEM" not in written or number in (plan.query, plan.system, *plan.chats)
    assert "QUESTION" in json.dumps(sent[plan.query])
    assert any("SYSTEM" in json.dumps(value) for value in sent.values())


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["id", "type", "props", "targets", "inputs", "outputs", "label"]), x
            )
        ),
        max_leaves=30,
    )
)
def test_any_json_for_a_configuration(junk: Any) -> None:
    """Whatever stands in a configuration, choosing gives a plan or EndpointNotFound."""
    config = {
        "protocol": "sse",
        "components": junk,
        "dependencies": junk if isinstance(junk, list) else [junk],
    }
    try:
        choose(read_page(json.dumps(config)))
    except EndpointNotFound:
        pass
