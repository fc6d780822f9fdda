"""
The error of a journal that takes no more: what was lost, and what helps.
"""

from __future__ import annotations

import errno

from ..errors import told

__all__ = ["FULL", "NotWritten"]

# What a file system says that is full, or takes nothing any more; and what helps.
FULL = {
    errno.ENOSPC: "Free some space there",
    errno.EDQUOT: "Free some of your quota there",
    errno.EFBIG: "Allow it larger files (ulimit -f), or split the items over several journals",
    errno.EROFS: "Have it made writable, or copy the journal to another disk",
    errno.EIO: "Look after the disk, or copy the journal to another one",
}


class NotWritten(OSError):
    """
    What a journal cannot take any more: its disk is full, or the like.

    Args:
        number: The system's number of the error.
        words: Its words.
        name: The file.
        resumes: Whether the next run goes on from it.
    """

    def __init__(
        self, number: int | None, words: str | None, name: object, *, resumes: bool = True
    ) -> None:
        super().__init__(number, words, name)
        self.resumes = resumes
        #: Answers that came and are not in the file.
        self.lost = 0

    @property
    def hint(self) -> str:
        """What was lost, and what to do."""
        lost = ""
        if self.lost:
            lost = f"{self.lost} {'answer' if self.lost == 1 else 'answers'} came and could not be written. "
        way = FULL.get(self.errno or 0, "See to that")
        rest = ": what is in the journal is not asked again" if self.resumes else ""
        return f"{lost}{way}, then run it again{rest}."

    def __str__(self) -> str:
        return told(f"{super().__str__()}.", self.hint)
