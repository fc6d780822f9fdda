"""
The protocol: what is said to a Space and what it says, without any I/O.

Text goes in, payloads and events come out. Nothing here opens a socket, reads a
clock, draws a random number or writes a log.
"""

__all__: list[str] = []
