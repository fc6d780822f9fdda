"""
The one model of the documented Space: its names, and its default system text.
"""

from __future__ import annotations

from ..errors import ModelNotFound
from ..privacy.redaction import shown

__all__ = ["DEFAULT_SYSTEM", "HUB_NAME", "MODEL", "MODEL_ALIASES", "check_model"]

MODEL = "qwen-qwen2-72b-instruct"
# As the model is called on the Hub.
HUB_NAME = "Qwen/Qwen2-72B-Instruct"
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
    names = (*MODEL_ALIASES, MODEL, HUB_NAME)
    # Names on the Hub are told apart by case, but nobody has two of one spelling.
    if model is None or (
        isinstance(model, str) and model.lower() in ("", "auto", *(name.lower() for name in names))
    ):
        return
    choices = ", ".join(map(repr, names))
    raise ModelNotFound(
        f"this Space does not serve the model {shown(model)}.", hint=f"Its one model is: {choices}."
    )
