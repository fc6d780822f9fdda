"""
What one call may be told, from ``stream()`` down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InvalidOption
from ..privacy.credentials import is_secret_name
from ..privacy.masking import Secrets
from ..privacy.redaction import shown
from ..protocol.plan import Plan
from ..retry import Retry
from ..timeout import Timeout

__all__ = ["Asked", "CallOptions"]

# A function's number beyond it is not the same in every JSON.
_MOST_NUMBER = 2**53


class Asked:
    """
    What of a Space is asked, and with which inputs beside the question.

    Args:
        endpoint: The public name or number of a function; ``None`` for what the
            page's rules choose.
        inputs: Values of other inputs by their labels.
        fold: Whether to fold into the question what the Space has no place for.

    Raises:
        InvalidOption: If one has no usable value.
    """

    def __init__(
        self, endpoint: str | int | None, inputs: Mapping[str, Any], fold: bool = True
    ) -> None:
        self.endpoint = endpoint
        self.inputs = inputs
        self.fold = fold
        if endpoint is not None and (
            isinstance(endpoint, bool)
            or not isinstance(endpoint, (str, int))
            or (isinstance(endpoint, str) and not endpoint.strip().lstrip("/"))
            or (isinstance(endpoint, int) and not 0 <= endpoint <= _MOST_NUMBER)
        ):
            raise InvalidOption(
                f"endpoint={shown(endpoint)} names no function.", hint='Pass "/chat" or a number.'
            )
        if not isinstance(inputs, Mapping) or not all(isinstance(key, str) for key in inputs):
            raise InvalidOption(
                "inputs must map labels to values.", hint='Pass {"Temperature": 0.2}.'
            )
        for label, value in inputs.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError, RecursionError) as exc:
                # Without the value: it may be a secret.
                raise InvalidOption(f"the value of the input {shown(label)} is no JSON.") from exc
        if not isinstance(fold, bool):
            raise InvalidOption(f"fold must be True or False, not {shown(fold)}.")
        private = [value for label, value in inputs.items() if is_secret_name(label)]
        self._known = Secrets([value for value in private if isinstance(value, str)])

    def __repr__(self) -> str:
        # Without the inputs: a value may be a secret.
        return f"Asked(endpoint={self.endpoint!r}, fold={self.fold!r})"

    def given(
        self, endpoint: str | int | None = None, inputs: Mapping[str, Any] | None = None
    ) -> Asked:
        """
        Join with what one call is told.

        Args:
            endpoint: Replaces this one, if given.
            inputs: Added to these; replaces those of the same label.

        Raises:
            InvalidOption: If one has no usable value.
        """
        if endpoint is None and inputs is None:
            return self
        added = Asked(
            self.endpoint if endpoint is None else endpoint, {} if inputs is None else inputs
        )
        return Asked(added.endpoint, {**self.inputs, **added.inputs}, self.fold)


class CallOptions(NamedTuple):
    """
    The options of one call.

    Args:
        timeout: How long it may take.
        retry: How stubborn to be.
        headers: Sent with its requests, beside the client's.
        fallback: What to assume if the configuration cannot be read.
        asked: What of the Space is asked.
    """

    timeout: Timeout
    retry: Retry
    headers: Mapping[str, str]
    fallback: Plan | None
    asked: Asked

    def __repr__(self) -> str:
        # Without the headers: they may be secret.
        return (
            f"CallOptions(timeout={self.timeout!r}, retry={self.retry!r}, "
            f"fallback={self.fallback!r}, asked={self.asked!r})"
        )
