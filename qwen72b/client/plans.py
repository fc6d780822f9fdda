"""
The plans of one Space: its configuration is read once, and doubted with reason.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

from ..errors import (
    AuthenticationError,
    EndpointNotFound,
    HTTPStatusError,
    InvalidServerMessage,
    RateLimited,
    SpaceUnavailable,
)
from ..protocol.page import Page, fold_label
from ..protocol.plan import Plan
from ..transport.latch import Latch
from ..transport.scope import CallScope
from .net import reading
from .options import Asked, CallOptions

__all__ = ["Plans"]

log = logging.getLogger("qwen72b")

# Seconds after which a configuration is doubted, if an answer gives reason to:
# a Space that is built anew takes longer.
LOOK_AGAIN = 60.0

# Plans that are kept: one for each endpoint and set of inputs that callers name.
_MOST_PLANS = 100


class Plans:
    """
    How a Space is asked, for each endpoint and set of inputs that callers name.

    Args:
        read: Reads the Space's page in a call.
    """

    def __init__(self, read: Callable[[CallScope], Page]) -> None:
        self._read = read
        # A signal handler may come in the very thread that holds it.
        self._lock = threading.RLock()
        self._page: Page | None = None
        # When it was read, and the plans that were made of it.
        self._read_at = 0.0
        self._plans: dict[object, Plan] = {}
        # Set while some thread reads the configuration.
        self._reading: Latch | None = None

    def find(
        self, scope: CallScope, options: CallOptions, *, instead_of: Plan | None = None
    ) -> tuple[Plan, bool]:
        """
        Find how the Space is asked; its configuration is read once.

        Args:
            scope: The call that needs it.
            options: What the call was told.
            instead_of: What turned out to be stale.

        Returns:
            The plan, and whether the configuration was read just now.

        Raises:
            Qwen72BError: If there is none.
        """
        asked = options.asked
        key = asked.endpoint, frozenset(map(fold_label, asked.inputs))
        known, page = self._plans.get(key), self._page
        if known is None and page is not None:
            try:
                known = self._choose(scope, page, asked, key)
            except EndpointNotFound:
                if not self.may_look_again():
                    raise
        if known is not None and known != instead_of:
            return known, instead_of is not None
        try:
            page, fresh = self._find_page(scope, page)
        except (HTTPStatusError, SpaceUnavailable, InvalidServerMessage) as error:
            if options.fallback is None or isinstance(error, (AuthenticationError, RateLimited)):
                raise
            log.info("The Space's /config cannot be read: %s", error.reason)
            return options.fallback, True
        return self._choose(scope, page, asked, key), fresh

    def may_look_again(self) -> bool:
        """Tell whether the configuration is old enough to be doubted: a minute."""
        return self._page is not None and monotonic() - self._read_at >= LOOK_AGAIN

    def _choose(self, scope: CallScope, page: Page, asked: Asked, key: object) -> Plan:
        # Read once per client, and a fifth of what importing the client would take.
        from ..protocol.choose import choose

        with reading():
            plan = choose(page, endpoint=asked.endpoint, inputs=asked.inputs, check=scope.limit)
        last = plan.steps[-1]
        log.debug(
            "%s: Gradio %s, %s, function %d (%s), in %d steps, chat in %s",
            scope,
            plan.version,
            plan.protocol.value,
            last.fn_index,
            last.api_name,
            len(plan.steps),
            plan.chat_format.value,
        )
        with self._lock:
            if page is self._page and len(self._plans) < _MOST_PLANS:
                self._plans[key] = plan
        return plan

    def _find_page(self, scope: CallScope, instead_of: Page | None) -> tuple[Page, bool]:
        """Read the configuration, unless another thread does or did it meanwhile."""
        mine, found = Latch(), None
        with self._lock:
            known, reading = self._page, self._reading
            if known is not None and known is not instead_of:
                return known, True
            if reading is None:
                self._reading = mine
        try:
            if reading is not None:
                # Another thread reads it. If it fails, this one tries itself.
                scope.wait(reading)
                with self._lock:
                    known = self._page
                if known is not None and known is not instead_of:
                    return known, True
            found = self._read(scope)
        finally:
            with self._lock:
                if found is not None:
                    # Before anybody who waits for it looks.
                    self._page, self._read_at, self._plans = found, monotonic(), {}
                if self._reading is mine:
                    self._reading = None
            mine.set()
        return found, True
