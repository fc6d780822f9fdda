"""
What is secret, and how it stays so: in frames, messages, logs, and what a server repeats.
"""

__all__: list[str] = []
