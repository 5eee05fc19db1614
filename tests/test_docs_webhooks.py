"""The figures of the page on webhooks are those of the code, and its receiver receives."""

import asyncio
import json
import re
import time

import httpx
import pytest
from nmtune_client._webhooks import verification

from outbound import posting, sockets, webhook_secret
from service.predict import drift_news
from store.access import keys
from store.webhooks import endpoints, outbox, schedule
from tests.support.places import ROOT
from workers.webhooks import courier
from workers.webhooks.signature import signed

PAGE = (ROOT / "docs/use/webhooks.md").read_text()
WORDS = " ".join(PAGE.split())


def in_words(seconds: float) -> str:
    for size, unit in ((3600, "hours"), (60, "minutes"), (1, "seconds")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return "at once"


PAUSES = [in_words(pause) for pause in schedule.DELAYS_SECONDS]


@pytest.mark.parametrize(
    "sentence",
    [
        f"more than {verification.TOLERANCE_SECONDS / 60:g} minutes old",
        f"at most {outbox.MOST_BODY_BYTES:,} bytes",
        f"may take {posting.SECONDS:g} seconds, {sockets.CONNECT_SECONDS:g} seconds of them",
        f"more than {posting.MOST_ANSWER_BYTES // 1024} KiB fails",
        f"tried {len(PAUSES)} times: {PAUSES[0]}, then after {', '.join(PAUSES[1:-1])} and "
        f"{PAUSES[-1]}, each ± {schedule.JITTER:.0%}".replace("%", " %"),
        f"{sum(schedule.DELAYS_SECONDS) / 3600:.0f} hours in all",
        f"So do {schedule.FAILING_DAYS} days of failures",
        f"the first {posting.KEPT_BYTES:,} bytes of the answer",
        f"are there for {schedule.KEPT_DAYS} days",
        f"For {endpoints.OVERLAP_SECONDS / 3600:g} hours messages carry both",
        f"at most {endpoints.MOST_ENDPOINTS} webhooks",
        f"{courier.AT_ONCE} messages at a time",
        f"predicted in the last {drift_news.HOURS} hours",
        f"once, {keys.WARNING_SECONDS / keys.DAY:g} days before",
    ],
)
def test_each_figure_is_that_of_the_code(sentence: str) -> None:
    assert sentence in WORDS


def test_every_event_is_explained() -> None:
    assert {name.value for name in outbox.EventName} <= set(re.findall(r"`([a-z_.]+)`", PAGE))


def test_the_receiver_of_the_page_receives() -> None:

    [source] = [
        code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "app" in code
    ]
    assert len(source.strip().splitlines()) <= 16
    secret = webhook_secret.new_secret()
    there: dict[str, object] = {}
    exec(source.replace("whsec_…", secret), there)  # noqa: S102  our own page
    body = json.dumps({"type": "ping", "data": {"path": "/webhooks/ep_1"}}).encode()
    headers = signed("msg_1", body, [secret], at=int(time.time()))

    async def post(content: bytes) -> int:
        transport = httpx.ASGITransport(there["app"])  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.post("/nmtune", content=content, headers=headers)).status_code

    assert asyncio.run(post(body)) == 200
    assert asyncio.run(post(body + b" ")) == 400
    assert there["seen"] == {"msg_1"}
