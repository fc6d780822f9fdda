"""
The blocking side: a client, its streams and its conversations.

``Client`` is the way in. Below it: ``settings`` checks what a client is told,
``space`` is what one Space can be asked, ``exchange`` drives one question,
``answer`` owns what comes of it, ``stream`` hands that out.
"""

from __future__ import annotations

from .client import Client
from .stream import Stream

__all__ = ["Client", "Stream"]
