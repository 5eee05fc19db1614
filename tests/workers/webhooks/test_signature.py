"""The signature, against the example of the standard and the public library."""

import time
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from outbound.webhook_secret import new_secret
from workers.webhooks.signature import signed


def test_the_signature_is_that_of_the_standards_example() -> None:
    """From the tests of the public libraries: secret, id, time, body and what must come out."""
    headers = signed(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        at=1614265330,
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_library_takes_what_each_secret_signed_and_nothing_else() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    body = '{"type":"ping","data":{"name":"Zoë"}}'.encode()
    headers = signed("msg_1", body, [new, old], at=int(time.time()))
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers)["type"] == "ping"
    for wrong in (
        lambda: Webhook(other).verify(body, headers),
        lambda: Webhook(new).verify(body + b" ", headers),
        lambda: Webhook(new).verify(body, headers | {"webhook-id": "msg_2"}),
        lambda: Webhook(new).verify(
            body, signed("msg_1", body, [new], at=int(datetime.now(UTC).timestamp()) - 600)
        ),
    ):
        with pytest.raises(WebhookVerificationError):
            wrong()
