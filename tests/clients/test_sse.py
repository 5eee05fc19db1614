"""The event-stream parser, against the standard's rules and any cutting into chunks."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from nmtune_client._http.sse import Parser, ServerSentEvent

STREAM = (
    b": heartbeat\n\n"
    b"id: evt_000001\nevent: job.started\ndata: {}\n\n"
    b'id:evt_000002\r\nevent:job.progress\r\ndata:{"a":\r\ndata: 1}\r\n\r\n'
    b"data: no name\r\rretry: 5\nunknown: x\nid: evt_000003\n\n"
    + 'id: evt_000004\nevent: job.stage\ndata: {"name": "a\u2028b\u0085c"}\n\n'.encode()
    + b"id: evt_000005\nevent: job.progress\ndata: cut off"
)
EVENTS = [
    ServerSentEvent(id="evt_000001", type="job.started", data="{}"),
    ServerSentEvent(id="evt_000002", type="job.progress", data='{"a":\n1}'),
    ServerSentEvent(id="evt_000002", type="message", data="no name"),
    ServerSentEvent(id="evt_000004", type="job.stage", data='{"name": "a\u2028b\u0085c"}'),
]


def test_whole_stream() -> None:
    assert Parser().feed(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_chunks_make_no_difference(cuts: list[int]) -> None:
    parser = Parser()
    places = [0, *sorted(cuts), len(STREAM)]
    events = [
        event
        for start, stop in itertools.pairwise(places)
        for event in parser.feed(STREAM[start:stop])
    ]
    assert events == EVENTS


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    for event in Parser().feed(data + b"\n\n"):
        assert isinstance(event.data, str)
