"""
The Space inside other people's frameworks: ``llm`` and langchain.

Each is a module of its own that needs its framework, and nothing here is imported
before it is asked for: ``qwen72b.integrations.llm`` by the entry point of that
name, ``qwen72b.integrations.langchain`` by whoever wants a chat model::

    from qwen72b.integrations.langchain import ChatQwen72B
"""

from __future__ import annotations

__all__: list[str] = []
