"""The headers of a message are read as the client itself reads them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client

from libs.common.clock import monotonic
from libs.common.log.jetstream.headers import read_headers
from libs.common.log.jetstream.link import Link

PARTS = st.sampled_from(
    [
        b"a",
        b"Nats-Sequence",
        b":",
        b": ",
        b" ",
        b"\t",
        b"\r\n",
        b"\n",
        b"\r",
        b"\x0b",
        b"\xff",
        b"\xc3",
        b"\xa9",
    ]
)

the_clients_own = Client._parse_header_lines


@given(st.lists(PARTS, max_size=30).map(b"".join))
@example(b"ce-id: 1\r\nce-actor: \xc3\xa9\r\n\r\n")
@example(b"no colon\r\n: no name\r\nin ner: space\r\n\xc3\xa9: no ascii\r\na:\r\na: again\r\n")
@example("a: \u00a0kept\u2003\r\n".encode())
@example(b"cut: \xc3\r\n")
def test_any_block_is_read_as_the_client_reads_it(block: bytes):
    assert read_headers(block) == the_clients_own(block)


@pytest.mark.parametrize(
    "block", [b"NATS/1.0\r\nce-id: 1\r\n\r\n", b"NATS/1.0 404 No Messages\r\nce-id: 1\r\n\r\n"]
)
async def test_the_client_of_a_log_reads_by_it(block: bytes, monkeypatch: pytest.MonkeyPatch):
    client = Client()
    Link(client, ticks=monotonic)
    monkeypatch.setattr(Client, "_parse_header_lines", None)
    headers = await client._process_headers(block)
    assert headers is not None
    assert headers["ce-id"] == "1" or headers["Status"] == "404"
