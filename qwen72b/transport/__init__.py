"""
How bytes go to a server and come back, within the deadlines of a call.

Nothing here knows what Gradio is.
"""

__all__: list[str] = []
