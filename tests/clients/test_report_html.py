"""The page of a report: fetched when asked for, kept, written whole, shown by a notebook."""

import asyncio
import copy
import pickle
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter
from nmtune_client import (
    AsyncClient,
    BadResponseError,
    Client,
    ConflictError,
    Report,
    ServerError,
)

REPORT = "/jobs/job_1/report"
PAGE = '<!doctype html>\r\n<title>Zoë & "pets"</title>\n<script>1 < 2</script>\n'
UNTOUCHED = "of before"


@pytest.fixture
def pages(server: Any, report_json: dict[str, Any]) -> list[Any]:
    """What the server answers to who wants HTML: the last of these, a copy of the page first."""
    answers = [html(server, PAGE.encode())]

    def answer(request: Any) -> Any:
        wants_html = request.headers["accept"] == "text/html"
        return answers[-1] if wants_html else server.ok(report_json)

    server.on("GET", REPORT, answer)
    return answers


def html(server: Any, body: bytes) -> Any:
    reply = server.ok({}, headers={"Content-Type": "text/html; charset=utf-8"})
    return type(reply)(body=body, headers=reply.headers)


def accepted(server: Any) -> list[str]:
    return [request.headers["accept"] for request in server.seen("GET", REPORT)]


def test_a_page_is_fetched_once_and_only_when_it_is_asked_for(
    server: Any, client: Client, pages: list[Any], tmp_path: Path
) -> None:
    assert pages
    report = client.jobs.report("job_1")
    assert accepted(server) == ["application/json"]
    path = tmp_path / "report.html"
    path.write_text(UNTOUCHED)
    assert report.save_html(str(path)) == path
    assert path.read_bytes() == PAGE.encode()
    assert report.html() == PAGE
    assert accepted(server) == ["application/json", "text/html"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(client: Client, pages: list[Any]) -> None:
    assert pages
    shown = client.jobs.report("job_1")._repr_html_()
    assert shown is not None
    found = re.fullmatch(
        r'<iframe sandbox="allow-scripts allow-downloads" srcdoc="([^"<>]*)" width="100%" '
        r'height="900"></iframe>',
        shown,
    )
    assert found
    assert unescape(found[1]) == PAGE


def test_a_notebook_without_a_page_shows_the_text(
    server: Any, client: Client, pages: list[Any], report_json: dict[str, Any]
) -> None:
    pages.append(server.DROP)
    for report in (client.jobs.report("job_1"), Report.from_json(report_json)):
        shown, _ = DisplayFormatter().format(report)
        assert shown == {"text/plain": report.text()}


def test_a_page_that_failed_is_asked_for_again(
    server: Any, client: Client, pages: list[Any]
) -> None:
    report = client.jobs.report("job_1")
    pages.append(server.problem(500, "internal", "It broke."))
    assert report._repr_html_() is None
    with pytest.raises(ServerError, match="It broke"):
        report.html()
    pages.pop()
    assert report.html() == PAGE


@pytest.mark.parametrize("body", [None, b"<title>\xff</title>"], ids=["json", "no-utf-8"])
def test_what_is_no_page_is_told_and_no_file_is_touched(
    server: Any, client: Client, pages: list[Any], tmp_path: Path, body: bytes | None
) -> None:
    pages.append(server.ok({"candidates": {}}) if body is None else html(server, body))
    path = tmp_path / "report.html"
    path.write_text(UNTOUCHED)
    report = client.jobs.report("job_1")
    with pytest.raises(BadResponseError, match=r"GET /jobs/job_1/report .*(not a page|utf-8)"):
        report.save_html(path)
    assert path.read_text() == UNTOUCHED
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_told_before_the_page_is_fetched(
    server: Any, client: Client, pages: list[Any], tmp_path: Path
) -> None:
    assert pages
    report = client.jobs.report("job_1")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent"):
        report.save_html(tmp_path / "absent" / "report.html")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        report.save_html(tmp_path)
    assert accepted(server) == ["application/json"]


def test_a_report_with_its_page_needs_no_server_and_can_be_copied(
    server: Any, client: Client, pages: list[Any], report_json: dict[str, Any]
) -> None:
    assert pages
    whole, lazy = client.jobs.report("job_1", html=True), client.jobs.report("job_1")
    client.close()
    for report in (whole, pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)):  # noqa: S301
        assert report == lazy
        assert report.html() == PAGE
    for report in (pickle.loads(pickle.dumps(lazy)), Report.from_json(report_json)):  # noqa: S301
        assert report == lazy
        with pytest.raises(RuntimeError, match="html=True"):
            report.html()
    assert PAGE not in repr(whole)


def test_asyncio_fetches_the_page_with_the_report(server: Any, pages: list[Any]) -> None:
    assert pages

    async def both() -> tuple[Report, Report]:
        async with AsyncClient(server.url) as client:
            return await client.jobs.report("job_1"), await client.jobs.report("job_1", html=True)

    without, whole = asyncio.run(both())
    assert without._repr_html_() is None
    with pytest.raises(RuntimeError, match="html=True"):
        without.html()
    assert whole.html() == PAGE


def test_a_report_that_is_not_ready_is_a_conflict(server: Any, client: Client) -> None:
    server.on("GET", REPORT, server.problem(409, "report_not_ready", "It is running."))
    with pytest.raises(ConflictError, match="It is running"):
        client.jobs.report("job_1", html=True)


def test_the_command_writes_the_page_and_prints_nothing_else(
    nmtune: Any, pages: list[Any], tmp_path: Path
) -> None:
    assert pages
    path = tmp_path / "report.html"
    path.write_text(UNTOUCHED)
    code, out, err = nmtune("report", "job_1", "--html", path)
    assert (code, out, err) == (0, "", f"Wrote the report's page to {path}.\n")
    assert path.read_bytes() == PAGE.encode()
    code, out, _ = nmtune("report", "job_1", "--html", path, "--full")
    assert code == 0
    assert "spectrum, raw -> tuned" in out


def test_the_command_writes_the_page_to_standard_output(
    nmtune: Any, server: Any, pages: list[Any]
) -> None:
    assert pages
    code, out, _ = nmtune("report", "job_1", "--html", "-")
    assert (code, out) == (0, PAGE)
    n_requests = len(server.requests)
    for others in (["--json"], ["--full"], ["--suspects", "-"]):
        code, out, err = nmtune("report", "job_1", "--html", "-", *others)
        assert (code, out) == (2, "")
        assert "name a file" in err
    assert len(server.requests) == n_requests


def test_the_command_names_a_place_that_cannot_be_written(
    nmtune: Any, pages: list[Any], tmp_path: Path
) -> None:
    assert pages
    code, _, err = nmtune("report", "job_1", "--html", tmp_path / "absent" / "report.html")
    assert code == 2
    assert err == f"nmtune: there is no folder {tmp_path}/absent to write report.html into\n"
