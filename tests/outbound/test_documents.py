"""Documents of a service: what goes wrong is said without what was sent."""

import socket

import pytest

from outbound.documents import Documents, NoDocument


def test_a_header_that_cannot_be_sent_is_not_quoted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = listening.getsockname()
        documents = Documents([place])
        headers = {"Authorization": "Bearer s3cret\n"}
        with pytest.raises(NoDocument, match="cannot be sent") as refused:
            documents.ask("GET", f"http://{place[0]}:{place[1]}/", None, headers)
        documents.close()
    assert "s3cret" not in str(refused.value)
