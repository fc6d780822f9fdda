"""
The text that iteration hands out, which cannot take anything back.

A Space's Chatbot cleans the indentation of every snapshot, so text that was
already sent may change although the model only appended. Two rules keep what
was handed out honest:

* Where only white space moved, go on behind the non-space characters already
  handed out: nothing is lost or repeated.
* Where other characters changed, start over on a new line with the whole
  present text, so that what was handed out ends with the exact final text.
"""

from __future__ import annotations

from ..protocol.textbuffer import TextBuffer

__all__ = ["AppendOnlyText"]


class AppendOnlyText:
    """The text handed out so far, and what to hand out next."""

    def __init__(self) -> None:
        #: Whether anything was taken back.
        self.revised = False
        #: Whether the text was started over, since other than white space changed.
        self.restarted = False
        #: What was handed out; as long as nothing was taken back, whoever hands
        #: out more may add it here.
        self.buffer = TextBuffer()
        # The answer; the same text as long as nothing was taken back.
        self._present = self.buffer

    def add(self, text: str) -> str:
        """
        Take text that was added to the answer.

        Args:
            text: The added text.

        Returns:
            What to hand out: the same text.
        """
        self.buffer.add(text)
        if self.revised:
            self._present.add(text)
        return text

    def revise(self, text: str, offset: int) -> str:
        """
        Take a new end of the answer.

        Args:
            text: What the answer now reads from ``offset`` on.
            offset: Characters of the answer that still stand.

        Returns:
            What to hand out; empty if all of it was handed out before.
        """
        old = str(self._present)
        kept = old[:offset]
        present = kept + text
        handed = str(self.buffer)
        self.revised = True
        self._present = TextBuffer(present)
        # White space apart, what was handed out is the present text, so that
        # only what is taken back needs to be looked at.
        rest = _after(kept[len(kept.rstrip()) :] + text, "".join(old[offset:].split()))
        if rest is None:
            self.restarted = True
            self.buffer = TextBuffer(present)
            return present if not handed or handed.endswith("\n") else "\n" + present
        rest = _without_shared_start(rest, handed[len(handed.rstrip()) :])
        if rest:
            self.buffer.add(rest)
        return rest


def _after(text: str, shown: str) -> str | None:
    """Return what follows the characters of ``shown`` in ``text``, white space apart."""
    if not "".join(text.split()).startswith(shown):
        return None
    # Where the last of them ends: by halves, so that C counts.
    position, missing, size = 0, len(shown), len(text)
    while missing:
        size = (size + 1) // 2
        count = len("".join(text[position : position + size].split()))
        if count < missing or (count == missing and size == 1):
            position += size
            missing -= count
    return text[position:]


def _without_shared_start(rest: str, trailing: str) -> str:
    """Leave out the white space that ``rest`` begins with and that was already handed out."""
    shared = 0
    for one, other in zip(rest, trailing, strict=False):
        if one != other:
            break
        shared += 1
    return rest[shared:]
