"""The log: one line a record, with the id of what it is about, in text or JSON, and no secrets."""

import json
import logging
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from service.http.layers import request_id
from standalone import logs
from standalone.logs import LogSettings, masked
from workers import job_id

logger = logging.getLogger("tests.some.module")

Lines = Callable[[], list[dict[str, Any]]]


JSON = LogSettings(log_format="json")


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was logged as JSON since, one object a line; the test configures the log."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_message_of_the_usual_form_becomes_an_event_with_fields(lines: Lines) -> None:
    logs.configure(JSON)
    logger.warning("lease.lost job_id=%s attempt=%d seconds=%.2f left=%s", "job_1", 2, 1.005, None)
    (line,) = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "event": "lease.lost",
        "level": "warning",
        "logger": "tests.some.module",
        "job_id": "job_1",
        "attempt": 2,
        "seconds": 1.0,
        "left": None,
    }


def test_other_messages_stay_as_they_are(lines: Lines) -> None:
    logs.configure(JSON)
    logger.info("Task %s[%s] received", "nmtune.run", "7")
    logger.info("100% sure")
    logger.info("database.version %s", "SQLite 3.40 has a bug")
    logger.info({"a": 1})
    assert [line["event"] for line in lines()] == [
        "Task nmtune.run[7] received",
        "100% sure",
        "database.version SQLite 3.40 has a bug",
        "{'a': 1}",
    ]


def test_a_value_cannot_pass_for_another_field_or_line(lines: Lines) -> None:
    logs.configure(JSON)
    logger.info("a.b reason=%s", 'x level=critical\n{"event": "forged"}\ud800')
    (line,) = lines()
    assert line["level"] == "info"
    assert line["reason"].startswith("x level=critical\n{")


def test_a_field_does_not_replace_what_the_record_is(lines: Lines) -> None:
    logs.configure(JSON)
    logger.info("a.b level=%s event=%s", "forged", "forged")
    (line,) = lines()
    assert (line["level"], line["event"]) == ("info", "a.b")


def test_numbers_that_json_lacks_are_text(lines: Lines) -> None:
    logs.configure(JSON)
    logger.info("a.b loss=%.3f", float("nan"))
    assert lines()[0]["loss"] == "nan"


def test_a_traceback_is_one_field_without_local_variables(lines: Lines) -> None:
    logs.configure(JSON)
    secret = "canary-" + "7f3"  # in no line of the source as a whole
    try:
        raise KeyError(len(secret))
    except KeyError:
        logger.exception("request.crashed request_id=%s", "req_1")
    (line,) = lines()
    assert line["event"] == "request.crashed"
    assert line["exception"].startswith("Traceback")
    assert secret not in json.dumps(line)


def test_ids_of_what_is_done_are_on_every_line(lines: Lines) -> None:
    logs.configure(JSON)
    with job_id.working_on("job_7"):
        logger.info("a.b")
        logging.getLogger("celery.worker").info("anything")
    logger.info("a.b")
    request_id.bind("req_7")
    logger.info("a.b")
    request_id.bind("")
    found = [(line.get("job_id"), line.get("request_id")) for line in lines()]
    assert found[:3] == [("job_7", None), ("job_7", None), (None, None)]
    assert found[3] == (None, "req_7")


def test_warnings_are_logged_too(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure(JSON)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    assert "old thing" in lines()[0]["event"]


def test_every_line_of_a_text_record_says_what_it_is_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(LogSettings())
    with job_id.working_on("job_7"):
        logger.error("job.child_failed log=%s", "first\nMemoryError\n2026-11-26T00:00:00 forged")
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ERROR   tests\.some\.module \[job_7\] "
        r"job\.child_failed log=first",
        lines[0],
    )
    assert lines[1:] == ["[job_7] MemoryError", "[job_7] 2026-11-26T00:00:00 forged"]


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_secrets_are_masked(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings.model_validate({"log_format": log_format}))
    for text in (
        "Cannot connect to redis://:canary@cache:6379/0: refused",
        "postgresql+psycopg://nmtune:canary@host/db",
        "amqp://user:can@ary@host//",
        "fatal: password=canary host=db",
        '{"api_key": "canary", "x": 1}',
        "Authorization: Bearer canary",
        "s3 secret = 'canary'",
        "(psycopg.errors.NotNullViolation) null value\nDETAIL:  Failing row contains (canary,\n"
        "canary).\n[SQL: INSERT]",
        "psycopg.errors.UniqueViolation: duplicate\nDETAIL:  Key (name)=(canary) already exists.",
        "twice password=canary\nand token: canary",
    ):
        logger.error("%s", text)
    written = capsys.readouterr().err
    assert "canary" not in written
    assert "ary@" not in written
    assert written.count(logs.MASK) == 11


@pytest.mark.parametrize(
    "line",
    [
        "request.finished method=GET path=/heads/pets@prod/versions status=200",
        "NMTune is ready at http://127.0.0.1:8000 (docs at /docs) a@b",
        "http://127.0.0.1:8000/predict?head=pets@prod",
        "tokens: 5",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert masked(line) == line


def test_the_environment_chooses_format_and_level(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NMTUNE_LOG_FORMAT", "json")
    monkeypatch.setenv("NMTUNE_LOG_LEVEL", "warning")
    logs.configure(LogSettings())
    logger.info("a.b")
    logger.warning("c.d")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "c.d"
