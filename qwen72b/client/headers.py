"""
The headers that a caller gives, checked before any I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidOption
from ..privacy.credentials import secrets_of_headers
from ..privacy.masking import Secrets
from ..privacy.redaction import shown

__all__ = ["checked_headers"]


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """
    Check headers that go with every request, or with those of one call.

    Args:
        headers: As in ``Client``.

    Raises:
        InvalidOption: If a name or a value would break a request.
    """
    if not isinstance(headers, Mapping | None):
        raise InvalidOption(f"headers must be a mapping, not {type(headers).__name__}.")
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            # Without the name: a whole line may stand there, with its secret.
            raise InvalidOption("the name of a header is malformed.")
        if not isinstance(value, str) or not re.fullmatch(r"[\t\x20-\x7e]*", value):
            # Without the value: it may be a secret.
            raise InvalidOption(
                f"the value of the header {shown(name)} is no printable ASCII text."
            )
    return _Headers(headers) if headers else {}


class _Headers(dict[str, str]):
    """Headers of a caller, which are masked for as long as they are kept."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self._known = Secrets(secrets_of_headers(headers))

    def __reduce__(self) -> tuple[Any, ...]:
        return _Headers, (dict(self),)
