"""
What does an iterator hand out that cannot take anything back?

A Space's Chatbot cleans the indentation of every snapshot, so text that was
already sent may change although the model only appended. Two rules keep what
was handed out honest:

* Where only white space moved, go on behind the non-space characters already
  handed out: nothing is lost or repeated.
* Where other characters changed, start over on a new line with the whole
  present text, so that what was handed out ends with the exact final text.
"""

from __future__ import annotations

from ..protocol.textbuffer import Growing

__all__ = ["Chunks"]


class Chunks:
    """The text handed out so far, and what to hand out next."""

    def __init__(self) -> None:
        #: Whether anything was taken back.
        self.revised = False
        #: Whether the text was started over, since other than white space changed.
        self.restarted = False
        self._handed = Growing()
        # The answer; the same text as long as nothing was taken back.
        self._present = self._handed

    def delta(self, text: str) -> str:
        """
        Take text that was added to the answer.

        Args:
            text: The added text.

        Returns:
            What to hand out: the same text.
        """
        self._handed.add(text)
        if self.revised:
            self._present.add(text)
        return text

    def revision(self, text: str, offset: int) -> str:
        """
        Take a new end of the answer.

        Args:
            text: What the answer now reads from ``offset`` on.
            offset: Characters of the answer that still stand.

        Returns:
            What to hand out; empty if all of it was handed out before.
        """
        present = str(self._present)[:offset] + text
        handed = str(self._handed)
        self.revised = True
        self._present = Growing(present)
        rest = _after(present, "".join(handed.split()))
        if rest is None:
            self.restarted = True
            self._handed = Growing(present)
            return present if not handed or handed.endswith("\n") else "\n" + present
        rest = _without_shared_start(rest, handed[len(handed.rstrip()) :])
        if rest:
            self._handed.add(rest)
        return rest


def _after(text: str, shown: str) -> str | None:
    """Return what follows the characters of ``shown`` in ``text``, white space apart."""
    squeezed = "".join(text.split())
    if not squeezed.startswith(shown):
        return None
    count = len(shown)
    if count == 0:
        return text
    # The count-th non-space character lies at or after position count - 1.
    position = count
    found = count - sum(map(str.isspace, text[:count]))
    while found < count:
        found += not text[position].isspace()
        position += 1
    return text[position:]


def _without_shared_start(rest: str, trailing: str) -> str:
    """Leave out the white space that ``rest`` begins with and that was already handed out."""
    shared = 0
    for one, other in zip(rest, trailing, strict=False):
        if one != other:
            break
        shared += 1
    return rest[shared:]
