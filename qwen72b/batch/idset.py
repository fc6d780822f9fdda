"""
The names that came before, in 12 to 24 bytes each: a million cost no more than 24 MB.

A ``set`` takes about 100 bytes for each. This is an open-addressing table of
64-bit hashes with linear probing (Knuth, The Art of Computer Programming 6.4,
algorithm L). Among a million names two share a hash with a chance of 3 in 100
million.
"""

from __future__ import annotations

from array import array

__all__ = ["IdSet"]

_FIRST_SIZE = 1024


class IdSet:
    """The names that came before."""

    def __init__(self) -> None:
        # A power of two; 0 is an empty slot.
        self._slots = array("Q", bytes(8 * _FIRST_SIZE))
        self._used = 0

    def add(self, name: str) -> bool:
        """
        Remember a name.

        Args:
            name: The name.

        Returns:
            Whether it is new.
        """
        if 3 * self._used >= 2 * len(self._slots):
            old, self._used = self._slots, 0
            self._slots = array("Q", bytes(16 * len(old)))
            for value in old:
                if value:
                    self._put(value)
        return self._put(hash(name) & 0xFFFF_FFFF_FFFF_FFFF or 1)

    def _put(self, value: int) -> bool:
        slots, last = self._slots, len(self._slots) - 1
        place = value & last
        while found := slots[place]:
            if found == value:
                return False
            place = (place + 1) & last
        slots[place] = value
        self._used += 1
        return True
