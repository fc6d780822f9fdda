"""The async side: the blocking client's twin on asyncio and trio, and leaving it at any time."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio
from timing import AMPLE, PATIENCE, SHORT

from qwen72b import (
    AsyncClient,
    AsyncStream,
    Client,
    Delta,
    Finished,
    GenerationFailed,
    InvalidMessages,
    InvalidOption,
    Queued,
    Reply,
    RequestTimeout,
    Started,
    Stream,
    StreamInterrupted,
    Timeout,
)
from qwen72b.protocol import job, jsontext
from qwen72b.testing import (
    Burst,
    Complete,
    Fail,
    FakeSpace,
    Gate,
    Message,
    Proceed,
    Repeat,
    Send,
    Stall,
)

both_loops = pytest.mark.anyio


def _threads() -> list[threading.Thread]:
    """Give the threads that wait for the network on behalf of an event loop."""
    return [
        thread
        for thread in threading.enumerate()
        if "AnyIO" in thread.name or thread.name.startswith("Trio thread")
    ]


async def _no_longer_read(space: FakeSpace, count: int = 1) -> None:
    await anyio.to_thread.run_sync(lambda: space.wait_for_disconnect(count))


# What only the async side has: the name that async code expects.
_ONLY_ASYNC = {"aclose"}


class TestParity:
    """The async names are the blocking ones."""

    @staticmethod
    def _names(kind: type, instance: object) -> set[str]:
        names = {*vars(kind), *vars(instance)}
        return {name for name in names if not name.startswith("_")}

    def test_the_client_has_the_same_names(self) -> None:
        """Every public name of Client is one of AsyncClient."""
        blocking = self._names(Client, object.__new__(Client))
        mirrored = {name for name in blocking if not hasattr(AsyncClient, name)}
        assert not mirrored, mirrored
        extra = self._names(AsyncClient, object.__new__(AsyncClient)) - blocking
        assert extra <= _ONLY_ASYNC

    def test_the_stream_has_the_same_names(self) -> None:
        """Every public name of Stream is one of AsyncStream."""
        client = AsyncClient("http://127.0.0.1:9")
        stream = client.stream("hi")
        blocking = self._names(Stream, object.__new__(Stream))
        assert {name for name in blocking if not hasattr(stream, name)} == set()
        assert self._names(AsyncStream, object.__new__(AsyncStream)) - blocking <= _ONLY_ASYNC

    @pytest.mark.parametrize("name", ["stream", "ask", "status", "close"])
    def test_the_parameters_are_the_same(self, name: str) -> None:
        """Methods take the same parameters, with the same defaults."""
        one = inspect.signature(getattr(Client, name)).parameters
        other = inspect.signature(getattr(AsyncClient, name)).parameters
        assert list(one.values()) == list(other.values())

    def test_options_are_the_same(self) -> None:
        """Every option of Client is one of AsyncClient."""
        given: dict[str, Any] = {
            "space": "a/b",
            "token": "t",
            "auth": ("u", "p"),
            "proxy": "http://127.0.0.1:9",
            "timeout": 3,
            "retry": None,
            "session": None,
            "headers": {"A": "b"},
            "verify": False,
            "cert": None,
            "wait_for_space": 1.0,
            "endpoint": "/chat",
            "inputs": {"Temperature": 1},
            "fold": False,
        }
        assert set(given) == set(inspect.signature(Client).parameters) - {"base_url"}
        client = AsyncClient("http://127.0.0.1:9", **given)
        assert client.base_url == "http://127.0.0.1:9"
        assert client.timeout.total == 3

    def test_an_unknown_option_is_refused(self) -> None:
        """A misspelt option is an error, not ignored."""
        with pytest.raises(TypeError, match="tokens"):
            AsyncClient(tokens="x")

    @pytest.mark.parametrize("most", [0, -1, True, 1.5, "4"])
    def test_max_threads_is_checked(self, most: Any) -> None:
        """max_threads is a count."""
        with pytest.raises(InvalidOption, match="max_threads"):
            AsyncClient(max_threads=most)

    def test_arguments_are_checked_at_once(self) -> None:
        """A bad message is refused where stream() is called, not where it is awaited."""
        client = AsyncClient("http://127.0.0.1:9")
        with pytest.raises(InvalidMessages):
            client.stream([])


@both_loops
class TestStreaming:
    """What the blocking side gives, the async side gives."""

    async def test_text_comes_as_it_is_said(self, fake_space: FakeSpace) -> None:
        """A piece of text is there before the next one is said."""
        gate = Gate()
        fake_space.answer("Hel", gate, "lo")
        async with AsyncClient(fake_space.url) as client:
            stream = client.stream("hi")
            assert await anext(stream) == "Hel"
            assert stream.text == "Hel"
            gate.open()
            assert [chunk async for chunk in stream] == ["lo"]
            assert stream.text == "Hello"
            assert stream.closed

    async def test_events(self, fake_space: FakeSpace) -> None:
        """Events are those of the blocking side, in order."""
        fake_space.answer("Hel", "lo")
        async with AsyncClient(fake_space.url) as client:
            events = [event async for event in client.stream("hi").events()]
        assert [type(event) for event in events] == [Queued, Started, Delta, Delta, Finished]
        assert events[-1].text == "Hello"

    async def test_ask(self, fake_space: FakeSpace) -> None:
        """ask() gives the whole answer with its messages and times."""
        fake_space.answer("Hel", "lo")
        async with AsyncClient(fake_space.url) as client:
            reply = await client.ask("hi")
        assert isinstance(reply, Reply)
        assert reply == "Hello"
        assert reply.messages[-1] == {"role": "assistant", "content": "Hello"}
        assert reply.timings is not None

    async def test_status(self, fake_space: FakeSpace) -> None:
        """status() tells what the blocking one tells."""
        async with AsyncClient(fake_space.url) as client:
            assert (await client.status()).ready

    async def test_a_failure_is_told_with_the_text_so_far(self, fake_space: FakeSpace) -> None:
        """A failed job raises after the text that came, and carries it."""
        fake_space.answer("Hel", Fail("no"))
        async with AsyncClient(fake_space.url) as client:
            stream = client.stream("hi")
            assert await anext(stream) == "Hel"
            with pytest.raises(GenerationFailed) as caught:
                await anext(stream)
        assert caught.value.partial == "Hel"

    async def test_entering_a_stream_asks(self, fake_space: FakeSpace) -> None:
        """async with sends the question; without it, nothing is sent before the first step."""
        async with AsyncClient(fake_space.url) as client:
            stream = client.stream("hi")
            assert not fake_space.requests
            async with stream:
                assert len(fake_space.jobs) == 1
            assert stream.closed

    async def test_timeouts_are_the_clients(self, fake_space: FakeSpace) -> None:
        """A limit of the call ends a silent stream."""
        fake_space.answer("Hel", Stall())
        async with AsyncClient(fake_space.url) as client:
            stream = client.stream("hi", timeout=AMPLE)
            with pytest.raises(RequestTimeout) as caught:
                [chunk async for chunk in stream]
        assert caught.value.phase == "total"
        assert caught.value.partial == "Hel"

    async def test_an_answer_ends_though_its_body_does_not(self, fake_space: FakeSpace) -> None:
        """After the Space's word that the answer is complete, nothing is waited for long."""
        fake_space.answer("Hello", Complete(), Stall())
        async with AsyncClient(fake_space.url) as client:
            with anyio.fail_after(PATIENCE):
                assert [chunk async for chunk in client.stream("hi")] == ["Hello"]

    async def test_each_step_may_be_a_task_of_its_own(self, fake_space: FakeSpace) -> None:
        """No step needs the task, nor the cancel scope, of another."""
        fake_space.answer("a", "b", "c")
        chunks: list[str] = []

        async def step() -> None:
            try:
                chunks.append(await anext(stream))
            except StopAsyncIteration:
                chunks.append("end")

        async with AsyncClient(fake_space.url) as client:
            stream = client.stream("hi")
            while "end" not in chunks:
                async with anyio.create_task_group() as group:
                    group.start_soon(step)
        assert chunks == ["a", "b", "c", "end"]

    async def test_a_scope_may_end_between_two_steps(self, fake_space: FakeSpace) -> None:
        """A scope that was opened after the stream began may be left before it ends."""
        fake_space.answer("a", "b", "c")
        async with AsyncClient(fake_space.url) as client:
            stream = client.stream("hi")
            with anyio.fail_after(PATIENCE):
                assert await anext(stream) == "a"
            with anyio.CancelScope():
                assert await anext(stream) == "b"
            assert await anext(stream) == "c"

    async def test_two_tasks_share_a_stream(self, fake_space: FakeSpace) -> None:
        """Two tasks that read one stream get each piece of text once, in order."""
        gate = Gate()
        fake_space.answer("a", gate, "b", "c", "d")
        chunks: list[str] = []

        async def read() -> None:
            async for chunk in stream:
                chunks.append(chunk)

        async with AsyncClient(fake_space.url) as client:
            stream = client.stream("hi")
            assert await anext(stream) == "a"
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(read)
                await anyio.wait_all_tasks_blocked()
                gate.open()
        assert chunks == ["b", "c", "d"]

    async def test_a_slow_consumer_is_not_the_spaces_silence(self, fake_space: FakeSpace) -> None:
        """The clock of silence does not run while nobody reads."""
        gate = Gate()
        fake_space.answer("a", gate, "b")
        async with AsyncClient(fake_space.url, timeout=Timeout(read=AMPLE)) as client:
            stream = client.stream("hi")
            assert await anext(stream) == "a"
            await anyio.sleep(AMPLE * 1.2)
            gate.open()
            assert await anext(stream) == "b"

    async def test_large_pieces(self, fake_space: FakeSpace) -> None:
        """Pieces of a megabyte come whole, though each needs many reads."""
        fake_space.answer("x" * 1_000_000, "y", "z" * 1_000_000)
        async with AsyncClient(fake_space.url) as client:
            chunks = [chunk async for chunk in client.stream("hi")]
        assert list(map(len, chunks)) == [1_000_000, 1, 1_000_000]

    async def test_a_burst_lets_other_tasks_work(self, fake_space: FakeSpace) -> None:
        """While one task reads a burst, the others have their turns."""
        fake_space.answer(Burst(["word "] * 20_000, per_write=1000))
        turns = []

        async def count() -> None:
            while True:
                await anyio.lowlevel.checkpoint()
                turns.append(len(stream.text))

        async with AsyncClient(fake_space.url) as client, anyio.create_task_group() as group:
            stream = client.stream("hi")
            assert await anext(stream)
            group.start_soon(count)
            async for _ in stream:
                pass
            group.cancel_scope.cancel()
        assert len(set(turns)) > 10

    async def test_two_streams_take_turns(self, fake_space: FakeSpace) -> None:
        """Streams of one client do not mix."""
        fake_space.answer(lambda job: [job.query, job.query])
        async with AsyncClient(fake_space.url) as client:
            one, other = client.stream("1"), client.stream("2")
            chunks = [await anext(one), await anext(other), await anext(one), await anext(other)]
        assert chunks == ["1", "2", "1", "2"]

    async def test_one_client_serves_two_loops(self, fake_space: FakeSpace) -> None:
        """A client may be used in another event loop while this one runs."""
        async with AsyncClient(fake_space.url) as client:
            assert await client.ask("hi")
            assert await anyio.to_thread.run_sync(lambda: anyio.run(client.ask, "hi"))

    async def test_pickling_keeps_the_settings(self, fake_space: FakeSpace) -> None:
        """A client that was pickled works, bound included."""
        async with pickle.loads(pickle.dumps(AsyncClient(fake_space.url, max_threads=1))) as client:
            assert await client.ask("hi")


@both_loops
class TestLeaving:
    """Whoever leaves is let go at once; the Space is told."""

    @pytest.fixture
    def silent(self, fake_space: FakeSpace) -> FakeSpace:
        """A Space that says one word and no more."""
        fake_space.answer("Hel", Stall())
        return fake_space

    async def test_cancelling_a_task(self, silent: FakeSpace) -> None:
        """A task that waits for text is cancelled at once, and the Space is told."""
        async with AsyncClient(silent.url) as client:
            stream = client.stream("hi")
            async with anyio.create_task_group() as group:

                async def read() -> None:
                    async for _ in stream:
                        waiting.set()

                waiting = anyio.Event()
                group.start_soon(read)
                await waiting.wait()
                group.cancel_scope.cancel()
            assert stream.closed
            await _no_longer_read(silent)

    async def test_cancelling_before_the_space_answers(self, fake_space: FakeSpace) -> None:
        """A task that waits for the configuration is cancelled as well."""
        fake_space.fault("config", Stall())
        async with AsyncClient(fake_space.url) as client, anyio.create_task_group() as group:
            group.start_soon(client.ask, "hi")
            await anyio.to_thread.run_sync(lambda: fake_space.wait_for_request("config"))
            group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(fake_space.wait_until_idle)

    async def test_a_timeout_scope(self, silent: FakeSpace) -> None:
        """A scope of the caller's ends the wait, and the stream."""
        async with AsyncClient(silent.url) as client:
            chunks = []
            stream = client.stream("hi")
            with anyio.move_on_after(PATIENCE) as scope:
                async for chunk in stream:
                    chunks.append(chunk)
                    scope.deadline = anyio.current_time() + SHORT
            assert scope.cancelled_caught
            assert (chunks, stream.text) == (["Hel"], "Hel")
            await _no_longer_read(silent)

    @pytest.mark.parametrize("name", ["close", "aclose", "cancel"])
    async def test_closing_wakes_the_reader(self, silent: FakeSpace, name: str) -> None:
        """A reader whose stream another task closes gets a clear error."""
        errors = []
        async with AsyncClient(silent.url) as client, anyio.create_task_group() as group:
            stream = client.stream("hi")
            assert await anext(stream) == "Hel"

            async def read() -> None:
                with pytest.raises(StreamInterrupted) as caught:
                    await anext(stream)
                errors.append(caught.value)

            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await getattr(stream, name)()
            await getattr(stream, name)()
        assert errors[0].partial == "Hel"
        await _no_longer_read(silent)

    async def test_closing_the_client_wakes_its_readers(self, silent: FakeSpace) -> None:
        """Readers get a clear error when the client is closed under them."""
        client = AsyncClient(silent.url)
        async with anyio.create_task_group() as group:
            stream = client.stream("hi")
            assert await anext(stream) == "Hel"

            async def read() -> None:
                with pytest.raises(StreamInterrupted, match="Client.close"):
                    await anext(stream)

            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
        await _no_longer_read(silent)

    async def test_leaving_a_loop_early(self, silent: FakeSpace) -> None:
        """A break hangs up, without anything to close."""
        async with AsyncClient(silent.url) as client:
            async for _ in client.stream("hi"):
                break
            gc.collect()
            await _no_longer_read(silent)

    async def test_leaving_a_loop_over_events_early(self, silent: FakeSpace) -> None:
        """So does a break out of a loop over events."""
        async with AsyncClient(silent.url) as client:
            async for event in client.stream("hi").events():
                if isinstance(event, Delta):
                    break
            gc.collect()
            await _no_longer_read(silent)

    async def test_an_exception_in_the_loop(self, silent: FakeSpace) -> None:
        """An exception in a loop's body hangs up, and is what is raised."""
        async with AsyncClient(silent.url) as client:
            with pytest.raises(LookupError, match="mine"):
                async with client.stream("hi") as stream:
                    async for _ in stream:
                        raise LookupError("mine")
            await _no_longer_read(silent)

    async def test_threads_are_freed(self, silent: FakeSpace) -> None:
        """A cancelled stream's thread takes the next stream's work."""
        before = len(_threads())
        async with AsyncClient(silent.url) as client:
            for count in range(1, 6):
                with anyio.CancelScope() as scope:
                    async for _ in client.stream("hi"):
                        scope.cancel()
                await _no_longer_read(silent, count)
        assert len(_threads()) < before + 5


@both_loops
class TestMany:
    """Many streams at once, within what was allowed."""

    async def test_quiet_streams_do_not_starve_their_host(self, fake_space: FakeSpace) -> None:
        """Sixty silent streams let another one, and the host's own threads, work."""
        gate = Gate()
        fake_space.answer(lambda job: ["a", gate, "b"] if job.query == "quiet" else ["c"])
        begun, replies = [], []
        async with AsyncClient(fake_space.url) as client:

            async def ask() -> None:
                stream = client.stream("quiet")
                begun.append(await anext(stream))
                replies.append(await stream.result())

            async with anyio.create_task_group() as group:
                for _ in range(60):
                    group.start_soon(ask)
                await anyio.to_thread.run_sync(
                    lambda: fake_space.wait_for_job("running", 60, timeout=PATIENCE)
                )
                assert await client.ask("loud") == "c"
                gate.open()
        assert (begun, replies) == (["a"] * 60, ["ab"] * 60)

    async def test_streams_that_wait_hold_no_thread(self, fake_space: FakeSpace) -> None:
        """One thread is enough for any number of streams that wait for text."""
        gate = Gate()
        fake_space.answer("a", gate, "b")
        streams, rests = [], []
        async with AsyncClient(fake_space.url, max_threads=1) as client:
            for _ in range(20):
                streams.append(client.stream("hi"))
                assert await anext(streams[-1]) == "a"

            async def rest(stream: AsyncStream) -> None:
                rests.append([chunk async for chunk in stream])

            async with anyio.create_task_group() as group:
                for stream in streams:
                    group.start_soon(rest, stream)
                await anyio.wait_all_tasks_blocked()
                with anyio.fail_after(PATIENCE):
                    assert (await client.status()).ready
                gate.open()
        assert rests == [["b"]] * 20

    async def test_max_threads_bounds_those_that_join(self, fake_space: FakeSpace) -> None:
        """With max_threads=2 a third stream joins when one of two has joined."""
        gate = Gate()
        fake_space.answer("a")
        fake_space.fault("stream", gate, Proceed(), times=6)
        replies: list[str] = []
        async with AsyncClient(fake_space.url, max_threads=2) as client:

            async def ask() -> None:
                replies.append(await client.ask("hi"))

            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(ask)
                await anyio.to_thread.run_sync(lambda: fake_space.wait_for_request("stream", 2))
                await anyio.wait_all_tasks_blocked()
                assert len(fake_space.jobs) == 2
                gate.open()
        assert replies == ["a"] * 6

    async def test_a_slow_consumer_holds_the_space_back(self, fake_space: FakeSpace) -> None:
        """What is not asked for is not read: the Space's send blocks, memory does not grow."""
        said: list[int] = []

        def endless(job: Any) -> Any:
            while True:
                said.append(1)
                yield Burst(["x" * 1000] * 100, per_write=10)

        fake_space.answer(endless)
        async with AsyncClient(fake_space.url) as client:
            stream = client.stream("hi")
            await anext(stream)
            # The Space goes on until the system's buffers are full.
            before = -1
            while len(said) != before:
                before = len(said)
                await anyio.sleep(0.2)
            assert len(stream.text) < 1_000_000
            assert 0 < before < 1000
            for _ in range(200):
                await anext(stream)
            await stream.aclose()
            assert len(stream.text) < 2_000_000
            await _no_longer_read(fake_space)


class TestAsyncio:
    """What asyncio alone has."""

    @staticmethod
    def _run(main: Callable[[], Any]) -> Any:
        return asyncio.run(main())

    @pytest.fixture
    def silent(self, fake_space: FakeSpace) -> FakeSpace:
        """A Space that says one word and no more."""
        fake_space.answer("Hel", Repeat(Stall()))
        return fake_space

    def test_a_loop_may_end_with_a_stream_pending(self, silent: FakeSpace) -> None:
        """asyncio.run ends although a task still waits for text, and the Space is told."""

        async def main() -> None:
            client = AsyncClient(silent.url)
            stream = client.stream("hi")
            assert await anext(stream) == "Hel"
            main.task = asyncio.ensure_future(anext(stream))  # type: ignore[attr-defined]
            await asyncio.sleep(0)

        self._run(main)
        silent.wait_for_disconnect()
        assert main.task.cancelled()  # type: ignore[attr-defined]

    def test_a_loop_may_end_with_a_stream_half_read(self, silent: FakeSpace) -> None:
        """asyncio.run ends with a stream that nobody reads any more."""

        async def main() -> str:
            async for chunk in AsyncClient(silent.url).stream("hi"):
                return chunk
            raise AssertionError

        assert self._run(main) == "Hel"
        gc.collect()
        silent.wait_for_disconnect()

    def test_wait_for(self, silent: FakeSpace) -> None:
        """asyncio.wait_for ends the wait."""

        async def main() -> None:
            async with AsyncClient(silent.url) as client:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.ask("hi"), AMPLE)

        self._run(main)
        silent.wait_for_disconnect()

    def test_inside_a_running_loop(self, fake_space: FakeSpace) -> None:
        """Both clients work where a loop already runs, as in Jupyter, without a patch."""
        fake_space.answer("Hel", "lo")

        async def cell() -> tuple[str, str]:
            return Client(fake_space.url).ask("hi"), await AsyncClient(fake_space.url).ask("hi")

        assert self._run(cell) == ("Hello", "Hello")
        gc.collect()


class TestTrio:
    """What trio alone has."""

    def test_move_on_after(self, fake_space: FakeSpace) -> None:
        """trio's own scope ends the wait."""
        fake_space.answer("Hel", Stall())

        async def main() -> str:
            async with AsyncClient(fake_space.url) as client:
                stream = client.stream("hi")
                assert await anext(stream) == "Hel"
                with trio.move_on_after(SHORT):
                    await stream.result()
                return stream.text

        assert trio.run(main) == "Hel"
        fake_space.wait_for_disconnect()


@both_loops
async def test_end_that_comes_with_half_an_event(fake_space: FakeSpace) -> None:
    """What came in one piece with the end of the body is no reason to wait for more."""
    half, gate = b'data: {"msg"', Gate()
    end = Send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(half), half))
    fake_space.answer("Hel", gate, end, Gate())
    async with AsyncClient(fake_space.url) as client:
        stream = client.stream("Hi")
        assert await anext(stream) == "Hel"
        gate.open()
        with pytest.raises(StreamInterrupted):
            await anext(stream)


# 12 kB each, in the value of a component that is not the answer's.
MANY_VALUES = {
    "integers": [1] * 6000,
    "numbers": [1.5] * 3000,
    "texts": [""] * 4000,
    "lists": [[]] * 4000,
    "objects": [{"a": None}] * 1100,
    "pairs": [[None, ""]] * 1000,
    "depth": [[[[[[]]]]]] * 900,
}
A_TEXT = "Some words, and some more. " * 450


@both_loops
@pytest.mark.parametrize("value", [*MANY_VALUES.values(), A_TEXT], ids=[*MANY_VALUES, "text"])
async def test_event_of_many_values_is_read_in_a_thread(
    fake_space: FakeSpace, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    """What takes long for its size holds no event loop; a text, which does not, is read there."""
    home, at_home = threading.get_ident(), []

    def read_json(text: str, **options: Any) -> Any:
        found = jsontext.read_json(text, **options)
        at_home.append((len(text) > 9000, threading.get_ident() == home))
        return found

    monkeypatch.setattr(job, "read_json", read_json)
    first, second = Gate(), Gate()
    large = Message("process_generating", output={"data": [value, [], []]}, success=True)
    fake_space.answer("H", first, large, "el", second, "lo")
    async with AsyncClient(fake_space.url) as client:
        stream = client.stream("Hi")
        assert await anext(stream) == "H"
        first.open()
        assert await anext(stream) == "el"
        assert (True, value is A_TEXT) in at_home
        del at_home[:]
        second.open()
        assert await anext(stream) == "lo"
        assert await stream.result() == "Hello"
    assert set(at_home) == {(False, True)}
