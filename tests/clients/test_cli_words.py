"""The server's words for a request's fields, as the command line tells them."""

import shlex
from typing import Any

import pytest
from nmtune_client._cli.grammar import make_parser
from nmtune_client._cli.shared.words import for_command_line

PREDICT = "use nmtune predict HEAD FILE --output OUT"


@pytest.mark.parametrize(
    ("command", "told", "shown"),
    [
        ("heads delete a@1", "or delete with force=true, which", "or delete with --force, which"),
        (
            "tune F",
            "Name yours with ?embedding=... or ?text=...",
            "Name yours with --embedding COLUMN or --text COLUMN",
        ),
        (
            "datasets upload F",
            "Name yours with ?label=..., or",
            "Name yours with --label COLUMN, or",
        ),
        (
            "tune F",
            "say which with ?embedding=dim_* (422 x)",
            "say which with --embedding 'dim_*' (422 x)",
        ),
        ("tune F", "or say ?unlabelled=true.", f"or {PREDICT}."),
        (
            "predict h F -o O",
            "with ?embedding=... or ?text=...",
            "with --embedding-column COLUMN or --text-column COLUMN",
        ),
        (
            "tune F",
            "ood_domains needs a column: ?domain=...",
            "--ood-domains needs a column: --domain COLUMN",
        ),
        (
            "tune F",
            "with ood_domains=a,b, or with ood_domains=none.",
            "with --ood-domains=a,b, or with --ood-domains=none.",
        ),
        ("tune F", "or say merge_similar=true to make", "or say --merge-similar to make"),
        (
            "tune F",
            "alias_always says: leave alias_always out.",
            "--alias-always says: leave --alias-always out.",
        ),
        ("tune F", "provider.base_url is required", "--base-url is required"),
        ("datasets upload F", "keep_seconds must be less", "--keep must be less"),
        (
            "predict h F -o O",
            "conformal_level must be from 0 to 1",
            "--conformal-level must be from 0 to 1",
        ),
        ("heads show pets", "delete with force=true", "delete with force=true"),
        (
            "tune F",
            "The columns are 'top_k', 'split_seed'.",
            "The columns are 'top_k', 'split_seed'.",
        ),
        (
            "tune F",
            "There is no column 'x', as ?label= says.",
            "There is no column 'x', as --label says.",
        ),
        ("jobs", "see ?plan=true and http://h/?label=a", "see ?plan=true and http://h/?label=a"),
    ],
)
def test_a_field_is_told_as_the_option_of_the_command(command: str, told: str, shown: str) -> None:
    arguments = make_parser().parse_args(shlex.split(command))
    assert for_command_line(told, arguments) == shown


def test_refusals_are_told_in_the_words_of_the_command(
    server: Any, nmtune: Any, tmp_path: Any
) -> None:
    server.on(
        "DELETE",
        "/heads/pets/versions/1",
        server.problem(409, "head_in_use", "Or delete with force=true."),
    )
    assert "Or delete with --force. (409" in nmtune("heads", "delete", "pets@1")[2]
    server.on(
        "POST",
        "/datasets",
        server.problem(422, "missing_column", "Name yours with ?embedding=... or ?text=..."),
    )
    server.on("POST", "/jobs", server.ok({}))  # the settings can be
    (tmp_path / "a.csv").write_text("x,label\n1,a\n")
    err = nmtune("tune", tmp_path / "a.csv")[2]
    assert "Name yours with --embedding COLUMN or --text COLUMN (422 missing_column)" in err
