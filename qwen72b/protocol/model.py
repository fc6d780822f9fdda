"""
The one model of the documented Space: its names, and its default system text.
"""

from __future__ import annotations

from ..errors import ModelNotFound

__all__ = ["DEFAULT_SYSTEM", "MODEL", "MODEL_ALIASES", "check_model"]

MODEL = "qwen-qwen2-72b-instruct"
MODEL_ALIASES = {"qwen-2-72b": MODEL}

# The text that the public Space's system box shows.
DEFAULT_SYSTEM = "You are a helpful assistant."


def check_model(model: str | None) -> None:
    """
    Accept the names of this Space's one model.

    Args:
        model: A name, or ``None``, ``""`` or ``"auto"`` for whatever is there.

    Raises:
        ModelNotFound: If it is the name of something else.
    """
    if model is None or model in ("", "auto", MODEL, *MODEL_ALIASES):
        return
    choices = ", ".join(repr(name) for name in (*MODEL_ALIASES, MODEL))
    raise ModelNotFound(
        f"this Space does not serve the model {model!r}.", hint=f"Its one model is: {choices}."
    )
