"""`nmtune heads`: listing, showing, aliases, notes and drift."""

import json
from typing import Any

import pytest
from nmtune_client._jobs import following as _following
from nmtune_client._sync import client as _client

from tests.clients.examples import HEAD


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_following, "_FIRST_POLL_SECONDS", 0.005)
    monkeypatch.setattr(_client, "sleep", lambda _: None)  # between tries


def test_heads_are_listed_shown_and_given_aliases(server: Any, nmtune: Any) -> None:
    server.on("GET", "/heads", server.ok({"items": [HEAD], "next_cursor": None}))
    server.on("GET", "/heads/pets", server.ok(HEAD))
    server.on("PUT", "/heads/pets/aliases/prod", server.ok(HEAD))
    assert "prod -> 3" in nmtune("heads")[1]
    assert nmtune("heads", "show", "pets")[1].splitlines()[1].split()[:3] == [
        "pets@3",
        "nmtune",
        "-",
    ]
    assert nmtune("heads", "alias", "pets", "prod", 3)[1] == "pets@prod -> pets@3\n"
    assert json.loads(nmtune("heads", "show", "pets", "--json")[1]) == HEAD


def test_one_version_is_shown_by_its_number_or_alias(server: Any, nmtune: Any) -> None:
    versions = [{"name": "pets", "version": number, "method": "mlp"} for number in (2, 3)]
    server.on("GET", "/heads/pets", server.ok(HEAD | {"versions": versions}))
    for version in versions:
        server.on("GET", f"/heads/pets/versions/{version['version']}", server.ok(version))
    for reference, shown in (
        ("pets@2", "pets@2"),
        ("pets@prod", "pets@3"),
        ("pets@latest", "pets@3"),
    ):
        code, out, _ = nmtune("heads", "show", reference)
        assert code == 0
        assert [line.split()[0] for line in out.splitlines()] == ["version", shown]
    assert json.loads(nmtune("heads", "show", "pets@2", "--json")[1]) == versions[0]
    code, out, err = nmtune("heads", "show", "pets@nosuch")
    assert (code, out) == (2, "")
    assert "pets has no alias nosuch, but prod" in err


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        (("alias", "pets@3", "prod", "3"), "alias HEAD ALIAS VERSION"),
        (("rollback", "pets@prod", "prod"), "rollback HEAD ALIAS"),
        (("compare", "pets@2", "2", "3"), "compare HEAD FROM TO"),
    ],
)
def test_a_version_where_a_name_stands_alone_shows_the_right_call(
    server: Any, nmtune: Any, command: tuple[str, ...], usage: str
) -> None:
    code, out, err = nmtune("heads", *command)
    assert (code, out) == (2, "")
    assert err.startswith(f"nmtune: {command[1]} names a version")
    assert err.endswith(f"nmtune heads {usage}\n")
    assert server.requests == []


def test_heads_show_figures_encoder_and_notes(server: Any, nmtune: Any) -> None:
    version = {
        "name": "pets",
        "version": 3,
        "method": "auto",
        "metrics": {
            "test": {"accuracy": 0.91},
            "ood/sketch": {"accuracy": 0.5},
            "ood/paint": {"accuracy": 0.7},
        },
        "encoder": {"provider": "openai", "model": "text-embedding-3-small"},
        "description": "labels of May",
        "tags": {"ticket": "ML-12"},
        "created_at": "2026-11-25T03:21:46Z",
    }
    head = HEAD | {"versions": [version]}
    server.on("GET", "/heads", server.ok({"items": [head], "next_cursor": None}))
    server.on("GET", "/heads/pets", server.ok(head))
    header, line = nmtune("heads")[1].splitlines()
    assert header.split()[:5] == ["head", "ID", "accuracy", "mean", "OOD"]
    assert line.split()[:3] == ["pets@3", "0.910", "0.600"]
    for word in ("openai text-embedding-3-small", "prod -> 3", "ticket=ML-12 labels of May"):
        assert word in line
    assert "2026-11-25" in line
    shown = nmtune("heads", "show", "pets")[1]
    assert "pets@3  ticket=ML-12  labels of May" in shown


def test_notes_of_a_version_are_edited(server: Any, nmtune: Any) -> None:
    version = {"name": "pets", "version": 3, "tags": {"a": "1", "b": "2"}}
    server.on("GET", "/heads/pets", server.ok(HEAD))
    server.on("GET", "/heads/pets/versions/3", server.ok(version))
    server.on("PATCH", "/heads/pets/versions/3", server.ok(version | {"description": "good"}))
    code, out, _ = nmtune(
        "heads", "edit", "pets@prod", "--tag", "c=3=x", "--untag", "a", "--description", "good"
    )
    assert (code, out) == (0, "pets@3  a=1 b=2 good\n")
    assert nmtune("heads", "edit", "pets", "--description", "")[0] == 0
    assert [request.json for request in server.seen("PATCH", "/heads/pets/versions/3")] == [
        {"description": "good", "tags": {"b": "2", "c": "3=x"}},
        {"description": None},
    ]
    for wrong in (["--tag", "x"], []):
        code, out, err = nmtune("heads", "edit", "pets@3", *wrong)
        assert (code, out) == (2, "")
        assert "--tag" in err


def test_drift_of_a_head_is_shown(server: Any, nmtune: Any) -> None:
    drift = {
        "name": "pets",
        "version": 3,
        "state": "much",
        "sentence": "Far away.",
        "n_rows": 500,
        "n_training_rows": 900,
        "is_recording": False,
        "columns": [{"column": 7, "shift": 0.5, "z": 12.25}],
        "first_at": "2026-11-26T03:00:00Z",
    }
    server.on("GET", "/heads/pets/drift", server.ok(drift))
    code, out, err = nmtune("heads", "drift", "pets", "--alias", "prod", "--hours", 48)
    assert code == 0
    assert out.splitlines() == [
        "pets@3: Far away.",
        "",
        "column   shift      z",
        "     7  +0.500  +12.2",
    ]
    assert "NMTUNE_DRIFT=on" in err
    assert server.seen("GET", "/heads/pets/drift")[0].query == {"alias": "prod", "hours": "48"}
    assert json.loads(nmtune("heads", "drift", "pets", "--json")[1]) == drift
    assert nmtune("heads", "drift", "pets", "--alias", "a", "--version", 1)[0] == 2
    for reference in ("pets@3", "pets@prod", "pets@latest"):
        assert nmtune("heads", "drift", reference)[0] == 0
    asked = [one.query for one in server.seen("GET", "/heads/pets/drift")]
    assert asked[2:] == [{"version": "3"}, {"alias": "prod"}, {}]
    hour = {"started_at": "2026-11-26T03:00:00Z", "n_rows": 1500, "state": "much"}
    figures = {"mean_shift": 0.5, "spread_ratio": 1.0, "norm_psi": 0.0, "class_psi": 0.1}
    few = {"started_at": "2026-11-26T05:00:00Z", "n_rows": 5, "state": "not_enough_rows"}
    server.on("GET", "/heads/pets/drift", server.ok(drift | {"windows": [hour | figures, few]}))
    table = nmtune("heads", "drift", "pets", "--by", "hour")[1].split("\n\n")[-1].splitlines()
    assert server.seen("GET", "/heads/pets/drift")[-1].query == {"by": "hour"}
    assert [line.split()[-5:] for line in table] == [
        ["shift", "norm", "PSI", "class", "PSI"],
        ["1,500", "much", "0.50", "0.00", "0.10"],
        ["enough", "rows", "-", "-", "-"],
    ]
    code, _, err = nmtune("heads", "drift", "pets@3", "--version", 1)
    assert (code, "leave out --version and --alias" in err) == (2, True)
