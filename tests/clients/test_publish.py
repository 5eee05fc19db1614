"""Publishing another candidate of a job, as the client and its command ask for it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from nmtune_client import APIStatusError, Client, HeadVersion, Job, JobData

PUBLISH = "/jobs/job_1/publish"
VERSION = {"name": "pets", "version": 2, "method": "nmtune", "aliases": ["prod"], "job_id": "job_1"}

Command = Callable[..., tuple[int, str, str]]


def test_a_job_publishes_another_candidate(
    server: Any, client: Client, job_json: Callable[..., Any]
) -> None:
    server.on("POST", PUBLISH, server.ok(VERSION, status=201))
    job = Job(client, JobData.from_json(job_json(status="succeeded")))
    version = job.publish("nmtune")
    assert isinstance(version, HeadVersion)
    assert (str(version), version.method, version.aliases) == ("pets@2", "nmtune", ("prod",))
    assert server.seen("POST", PUBLISH)[0].json == {"candidate": "nmtune"}
    again = client.jobs.publish("job_1", "nmtune", alias="prod", description="", tags={"a": "b"})
    assert again == version
    assert server.seen("POST", PUBLISH)[1].json == {
        "candidate": "nmtune",
        "alias": "prod",
        "description": None,
        "tags": {"a": "b"},
    }


def test_an_answer_that_was_lost_is_asked_for_again(server: Any, client: Client) -> None:
    server.on("POST", PUBLISH, server.DROP, server.ok(VERSION))
    assert client.jobs.publish("job_1", "nmtune").version == 2
    assert len(server.seen("POST", PUBLISH)) == 2


def test_what_is_no_longer_kept_says_so(server: Any, client: Client) -> None:
    server.on("POST", PUBLISH, server.problem(410, "job_file_expired", "Train again."))
    with pytest.raises(APIStatusError, match=r"Train again\.") as refused:
        client.jobs.publish("job_1", "nmtune")
    assert (refused.value.status, refused.value.code) == (410, "job_file_expired")


def test_the_command_publishes(nmtune: Command, server: Any) -> None:
    server.on("POST", PUBLISH, server.ok(VERSION))
    code, out, _ = nmtune("publish", "job_1", "nmtune", "--alias", "prod", "--tag", "by=me")
    assert (code, out.splitlines()) == (
        0,
        [
            "pets@2 = pets@prod is nmtune of job_1.",
            "Try: nmtune predict pets@2 FILE.npy",
        ],
    )
    assert server.seen("POST", PUBLISH)[0].json == {
        "candidate": "nmtune",
        "alias": "prod",
        "tags": {"by": "me"},
    }
    assert json.loads(nmtune("publish", "job_1", "nmtune", "--json")[1]) == VERSION
    assert server.seen("POST", PUBLISH)[1].json == {"candidate": "nmtune"}
    texts = VERSION | {"encoder": {"provider": "openai"}}
    server.on("POST", PUBLISH, server.ok(texts))
    assert "predict pets@2 --text '...'" in nmtune("publish", "job_1", "nmtune")[1]
    words = "Job job_1 has no candidate 'x'. It has mlp, nmtune."
    server.on("POST", PUBLISH, server.problem(422, "unknown_candidate", words))
    code, _, err = nmtune("publish", "job_1", "x")
    assert (code, "It has mlp, nmtune." in err) == (1, True)
    assert nmtune("publish", "job_1")[0] == 2
