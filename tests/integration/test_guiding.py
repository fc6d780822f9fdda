"""Errors that guide: what stands at a URL that is not the Space's."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b import Client, HTTPStatusError, InvalidOption, Qwen72BError, SpaceUnavailable
from qwen72b.testing import FakeSpace, Respond


def refused(*responses: Respond, **options: Any) -> Qwen72BError:
    with FakeSpace() as space:
        space.fault("config", *responses, times=None)
        with Client(space.url, **options) as client, pytest.raises(Qwen72BError) as caught:
            client.ask("q")
    return caught.value


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("Qwen/Qwen2.5", "Qwen/Qwen2.5"),
        ("https://huggingface.co/spaces/owner/my-chat", "owner/my-chat"),
        ("http://www.huggingface.co/spaces/owner/my-chat/tree/main", "owner/my-chat"),
        ("huggingface.co/spaces/owner/my-chat/", "owner/my-chat"),
        ("https://hf.co/spaces/owner/my.chat", "owner/my.chat"),
    ],
)
def test_page_or_name_of_a_space_is_no_url(url: str, name: str) -> None:
    """The error says how to give the name."""
    with pytest.raises(InvalidOption) as caught:
        Client(url)
    assert caught.value.hint == f'Pass space="{name}" instead.'


@pytest.mark.parametrize("url", ["http://127.0.0.1:7860/a/b", "https://host.example/spaces/a/b"])
def test_other_urls_are_urls(url: str) -> None:
    """A path of two words is not a Space's name."""
    with Client(url) as client:
        assert client.base_url == url


def test_login_that_the_space_lacks_is_told() -> None:
    """Gradio without a login redirects to its page (measured on 4.44 to 6.31)."""
    with FakeSpace() as space:
        space.fault("login", Respond(status=302, headers={"location": "/"}), times=None)
        client = Client(space.url, auth=("user", "password"))
        with client, pytest.raises(InvalidOption, match="no login") as caught:
            client.ask("q")
    assert "auth=" in caught.value.hint


def test_redirect_to_https_is_told() -> None:
    """It is not followed, for a token goes to one origin; the hint names the scheme."""
    error = refused(Respond(status=308, headers={"location": "https://127.0.0.1/config"}))

    assert isinstance(error, HTTPStatusError)
    assert "https://" in error.hint


@pytest.mark.parametrize(
    ("server", "body", "name"),
    [
        ("nginx/1.24.0", "<html><title>404 Not Found</title><hr>nginx/1.24.0</html>", "nginx"),
        ("Apache/2.4", "<!DOCTYPE HTML><title>404 Not Found</title>Apache/2.4", "Apache"),
        ("TornadoServer/6", "<!DOCTYPE HTML><title>Jupyter Server</title>404", "Jupyter"),
    ],
)
def test_other_server_is_named_and_not_waited_for(server: str, body: str, name: str) -> None:
    """Its page of a path that it does not know is no Space that is asleep."""
    page = Respond(status=404, headers={"server": server, "content-type": "text/html"}, body=body)

    error = refused(page, wait_for_space=300.0)

    assert isinstance(error, HTTPStatusError)
    assert error.hint.startswith(f"{name} answers there")


def test_page_behind_such_a_server_may_be_a_sleeping_space() -> None:
    """A page that the server has not signed is the Space's or the Hub's."""
    headers = {"server": "nginx", "content-type": "text/html"}
    page = Respond(status=404, headers=headers, body="<html><title>Sleeping</title></html>")

    assert isinstance(refused(page), SpaceUnavailable)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Invalid URL", "type": "invalid_request_error"}},
        {"object": "error", "message": "Not Found"},
    ],
    ids=["openai", "vllm"],
)
def test_openai_compatible_server_is_told(body: Any) -> None:
    """The hint says how to ask it."""
    assert "--upstream" in refused(Respond(status=404, body=body)).hint
