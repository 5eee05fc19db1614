"""The pages over HTTP: every link leads somewhere, nothing costs more than its API route."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import urljoin

import pytest

from store import transitions
from store.store import Store
from tests.pages.reports import Page
from tests.service.in_process import (
    InProcess,
    add_dataset,
    add_job,
    assert_problem,
    claim,
    publish,
    succeed,
)
from tests.service.ui.test_pages import reported  # noqa: F401  a fixture
from tests.store.made_rows import statements

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ALWAYS = ("/ui/", "/ui/jobs", "/ui/new", "/ui/heads", "/ui/datasets", "/ui/audit")


@pytest.fixture
def full(store: Store, trained: bytes, reported: str) -> list[str]:  # noqa: F811
    """Every page of a service that has a head with two versions, and jobs of every status."""
    publish(store, trained)
    running, failed = claim(store, add_job(store)), claim(store, add_job(store))
    with store.database.begin() as tx:
        progress = {"candidate": "nmtune", "epoch": 1, "losses": {"total": 0.5}}
        events = [("job.progress", progress), ("job.progress", progress | {"epoch": 2})]
        transitions.heartbeat(tx, running, lease_seconds=60, progress=progress, events=events)
        transitions.fail(tx, failed, error={"code": "out_of_memory", "message": "Too large."})
    dataset_id = add_dataset(store, name="other")
    return [
        *ALWAYS,
        *(f"/ui/jobs/{one}" for one in (reported, running.id, failed.id, add_job(store))),
        f"/ui/jobs/{reported}/report",
        "/ui/jobs?status=failed",
        "/ui/heads/pets",
        "/ui/heads/pets?version=1",
        "/ui/heads/pets/compare?from=1&to=2",
        f"/ui/datasets/{dataset_id}",
        f"/ui/new?dataset_id={dataset_id}",
        f"/ui/new?dataset_id={dataset_id}&name=&alias=&method=mlp&config=%7B%22epochs%22%3A3%7D",
    ]


def links(path: str, page: Page) -> set[str]:
    """Where the page's links lead, without those to places on it."""
    found = [str(one["href"]) for tag in ("a", "link") for one in page.named(tag)]
    found += [str(one["src"]) for one in page.named("script") if one.get("src")]
    return {
        urljoin(path, address).partition("#")[0]
        for address in found
        if not address.startswith(("#", "data:"))
    }


def test_every_link_leads_somewhere(client: InProcess, full: list[str]) -> None:
    seen, waiting = set[str](), list(full)
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = client.get(path, headers={} if "/export" in path else BROWSER)
        # These jobs and heads are like those of earlier versions: without files, without knowledge.
        of_files = {"rows", "labels", "map", "drift"} & set(path.partition("?")[0].split("/"))
        expected = {200, 303} | ({404, 422} if of_files else set())
        assert answer.status_code in expected, path
        is_page = answer.headers.get("content-type", "").startswith("text/html")
        if path.startswith("/ui/") and is_page:
            page = Page(answer.text)
            assert page.named("h1"), path
            waiting += links(path, page)
    assert set(full) <= seen
    assert any("/export?format=onnx" in path for path in seen)


def test_pages_have_titles_of_their_own(client: InProcess, full: list[str]) -> None:
    titles = [client.get(path).text.partition("<title>")[2].partition("<")[0] for path in full]
    assert all(title.endswith(" – NMTune") for title in titles)
    assert len(set(titles[: len(ALWAYS)])) == len(ALWAYS)


def test_every_way_to_act_is_a_route_of_the_api(client: InProcess, full: list[str]) -> None:
    routes = client.get("/openapi.json").json()["paths"]
    known = {(method.upper(), path) for path, methods in routes.items() for method in methods}
    acts = set[tuple[str, str]]()
    for path in full:
        page = Page(client.get(path).text)
        for one in (*page.named("form"), *page.named("button")):
            if one.get("data-send"):
                target = str(one.get("action") or one.get("formaction"))
                acts.add((str(one["data-send"]), urljoin(path, target).partition("?")[0]))
        assert all("disabled" in one for one in page.named("button") if one.get("data-send"))

    def fits(act: tuple[str, str], route: tuple[str, str]) -> bool:
        parts, wanted = act[1].split("/"), route[1].split("/")
        pairs = zip(parts, wanted, strict=False)
        alike = len(parts) == len(wanted) and all(b.startswith("{") or a == b for a, b in pairs)
        return act[0] == route[0] and alike

    lost = [act for act in acts if not any(fits(act, route) for route in known)]
    assert not lost
    assert {method for method, _ in acts} == {"POST", "PUT", "PATCH", "DELETE"}


@pytest.mark.parametrize(
    ("page", "routes"),
    [
        ("/ui/jobs", ["/jobs"]),
        ("/ui/jobs?status=failed", ["/jobs?status=failed"]),
        ("/ui/jobs/{job}", ["/jobs/{job}", "/jobs/{job}/events"]),
        ("/ui/heads", ["/heads"]),
        ("/ui/heads/pets", ["/heads/pets", "/heads/pets/aliases"]),
        ("/ui/heads/pets/compare?from=1&to=2", ["/heads/pets/compare?from=1&to=2"]),
        ("/ui/datasets", ["/datasets"]),
        ("/ui/datasets/{dataset}", ["/datasets/{dataset}"]),
        ("/ui/new", ["/datasets"]),
        ("/ui/", ["/readyz", "/jobs?status=running", "/jobs?status=queued", "/jobs", "/heads"]),
    ],
    ids=lambda value: value.partition("?")[0] if isinstance(value, str) else "",
)
def test_a_page_sends_no_statement_that_its_routes_would_not(
    client: InProcess, store: Store, trained: bytes, page: str, routes: Sequence[str]
) -> None:
    publish(store, trained, alias="prod")
    publish(store, trained)
    places = {"job": add_job(store), "dataset": add_dataset(store)}
    client.get("/readyz")  # whose checks hold for a second, and have threads of their own
    client.get("/heads")  # the tenant's limits are known from now on

    def sent(paths: Sequence[str]) -> list[str]:
        with statements() as seen:
            for path in paths:
                assert client.get(path.format(**places)).status_code == 200
        # That the database answers is looked at in a thread, at whatever moment.
        return sorted(
            one.sql for one in seen if "alembic_version" not in one.sql and one.sql != "SELECT 1"
        )

    of_page = Counter(sent([page]))
    assert of_page
    assert not of_page - Counter(sent(routes))


def test_a_new_job_sends_the_statements_of_the_dataset_and_the_plan(
    client: InProcess, store: Store
) -> None:
    dataset_id = add_dataset(store)
    client.get("/heads")  # the tenant's limits are known from now on
    with statements() as seen:
        assert client.get(f"/ui/new?dataset_id={dataset_id}").status_code == 200
    with statements() as expected:
        client.get(f"/datasets/{dataset_id}")
        client.post("/jobs?plan=true", json={"name": "pets", "dataset_id": dataset_id})
    assert [one.sql for one in seen] == [one.sql for one in expected]


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/ui/jobs?status=lost", 422, "status"),
        ("/ui/jobs?cursor=broken", 422, "cursor"),
        ("/ui/jobs?page=2", 422, "page"),
        ("/ui/heads/nothing", 404, "nothing"),
        ("/ui/heads/pets?version=9", 404, "It has 1."),
        ("/ui/heads/pets/compare?from=1", 422, "to"),
        ("/ui/heads/pets/compare?from=1&to=9", 404, "pets@9"),
        ("/ui/datasets/ds_nothing", 404, "ds_nothing"),
        ("/ui/new?dataset_id=ds_nothing", 404, "ds_nothing"),
        ("/ui/new?dataset_id={dataset}&config=[", 422, "config is not JSON"),
        ("/ui/new?dataset_id={dataset}&config=3", 422, "JSON object"),
        ("/ui/new?dataset_id={dataset}&method=best", 422, "method"),
        ("/ui/jobs/{job}?candidate=<b>", 404, "none so far"),
    ],
    ids=lambda value: value.replace("/", "-") if isinstance(value, str) else "",
)
def test_what_is_wrong_is_a_page_that_says_what(
    client: InProcess, store: Store, trained: bytes, path: str, status: int, told: str
) -> None:
    publish(store, trained)
    answer = client.get(path.format(dataset=add_dataset(store), job=add_job(store)))
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "text/html; charset=utf-8",
    )
    assert told in Page(answer.text).text


def test_what_the_plan_refuses_is_told_beside_the_form(client: InProcess, store: Store) -> None:
    rows = {"texts": ["a", "b", "c", "d"], "labels": ["x", "y", "x", "y"], "splits": ["train"] * 4}
    texts = client.post("/datasets", json=rows).json()
    answer = client.get(f"/ui/new?dataset_id={texts['id']}")
    assert answer.status_code == 200
    assert "provider" in Page(answer.text).text
    named = client.get(f"/ui/new?dataset_id={texts['id']}&provider.model=x")
    assert "provider.name: Field required." in Page(named.text).text
    query = "config=%7B%22epoch%22%3A3%7D"
    refused = Page(client.get(f"/ui/new?dataset_id={add_dataset(store)}&{query}").text)
    assert "did you mean 'epochs'" in refused.text


def test_lists_go_on_page_by_page_by_plain_links(client: InProcess, store: Store) -> None:
    for at in range(3):
        add_dataset(store, name=f"data-{at}")
    path, seen = "/ui/datasets?limit=2", ""
    while path:
        page = Page(client.get(path).text)
        seen += page.text
        older = [one for one in page.named("a") if one.get("rel") == "next"]
        path = urljoin(path, str(older[0]["href"])) if older else ""
    assert all(f"data-{at}" in seen for at in range(3))


def test_aliases_are_listed_with_what_they_named_before(
    client: InProcess, store: Store, trained: bytes
) -> None:
    for _ in range(3):
        publish(store, trained, alias="prod")
    items = client.get("/heads/pets/aliases").json()["items"]
    assert [(one["alias"], one["version"]) for one in items] == [("prod", 3)]
    assert [one["version"] for one in items[0]["history"]] == [1, 2]
    client.delete("/heads/pets/aliases/prod")
    assert client.get("/heads/pets/aliases").json() == {"items": []}
    assert_problem(client.get("/heads/nothing/aliases"), 404, "not_found")


def test_a_job_is_made_again_with_its_settings(client: InProcess, store: Store) -> None:
    dataset_id = add_dataset(store)
    body = {"name": "pets", "dataset_id": dataset_id, "method": "nmtune", "alias": "prod"}
    config = {"preset": "reference", "epochs": 3}
    job = client.post("/jobs", json={**body, "config": config, "analyses": ["ablation"]}).json()
    page = Page(client.get(f"/ui/jobs/{job['id']}").text)
    again = next(str(one["href"]) for one in page.named("a") if "ui/new?" in str(one["href"]))
    new = client.get(urljoin("/ui/jobs/x", again))
    assert new.status_code == 200
    assert "--preset reference --set epochs=3" in Page(new.text).text
    assert "--analyse ablation" in Page(new.text).text


def test_a_job_of_other_settings_than_todays_is_not_offered_again(
    client: InProcess, store: Store
) -> None:
    page = client.get(f"/ui/jobs/{add_job(store)}")  # whose config is empty
    assert page.status_code == 200
    assert "Run again" not in page.text


def test_a_finished_job_leads_to_its_head(client: InProcess, store: Store, trained: bytes) -> None:
    job = succeed(store, claim(store, add_job(store)), trained)
    page = Page(client.get(f"/ui/jobs/{job.id}").text)
    assert "../../ui/heads/pets" in {one["href"] for one in page.named("a")}
