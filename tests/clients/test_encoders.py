"""Comparing encoders from Python and from the command line: what is sent, and what is shown."""

import argparse
from typing import Any

import pytest
from nmtune_client import Report
from nmtune_client._cli.shared.encoder_options import encoder_of, name_of_column
from nmtune_client._datasets.values import Dataset
from nmtune_client._jobs.plan import Plan
from nmtune_client._jobs.submission import planned, submission

NO_ROWS: dict[str, Any] = {
    "embeddings": None,
    "labels": None,
    "splits": None,
    "merge_similar": False,
    "texts": None,
    "provider": None,
    "dataset": None,
    "method": None,
    "config": None,
    "analyses": None,
    "alias": None,
    "queue": None,
    "priority": None,
}


def sent(**changes: Any) -> Any:
    data = submission(name="mood", **NO_ROWS | changes).data
    return {name: value for name, value in data.items() if value is not None}


def test_encoders_are_names_mappings_or_stored_datasets() -> None:
    stored = Dataset.from_json({"id": "ds_1", "name": "bge", "n_rows": 9, "n_columns": 4})
    priced = {"name": "openai", "model": "m", "price_per_million_tokens": 0.02}
    data = sent(texts=["a", "b"], labels=["x", "y"], encoders=["local-minilm", priced], sample=50)
    assert data["encoders"] == [{"name": "local-minilm"}, priced]
    assert data["sample"] == 50
    data = sent(encoders=[stored, "ds_2"])
    assert data == {"name": "mood", "encoders": [{"dataset_id": "ds_1"}, {"dataset_id": "ds_2"}]}
    asked = planned(
        None,
        dataset_id=None,
        provider=None,
        encoders=[stored, "ds_2"],
        method=None,
        config=None,
        analyses=None,
    )
    assert asked["encoders"] == data["encoders"]


def test_providers_to_compare_need_texts() -> None:
    with pytest.raises(ValueError, match="pass either dataset_id="):
        sent(encoders=["local-minilm", "openai"])


@pytest.mark.parametrize(
    ("text", "encoder"),
    [
        ("local-minilm", {"name": "local-minilm"}),
        (
            "openai/text-embedding-3-small,price=0.02,truncate_dim=256",
            {
                "name": "openai",
                "model": "text-embedding-3-small",
                "price_per_million_tokens": 0.02,
                "truncate_dim": 256,
            },
        ),
        (
            "together/BAAI/bge-base-en-v1.5,dimensions=64",
            {"name": "together", "model": "BAAI/bge-base-en-v1.5", "dimensions": 64},
        ),
        (
            "tei,base_url=http://tei:8080,model=bge",
            {"name": "tei", "base_url": "http://tei:8080", "model": "bge"},
        ),
    ],
)
def test_an_encoder_of_the_command_line(text: str, encoder: dict[str, Any]) -> None:
    assert encoder_of(text) == encoder


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("openai/m,price=cheap", "price must be a number, got 'cheap'"),
        ("openai/m,colour=red", "'colour=red' is none of model, base_url"),
        ("openai/m,0.02", "'0.02' is none of"),
    ],
)
def test_what_is_no_encoder(text: str, said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        encoder_of(text)


@pytest.mark.parametrize(
    ("column", "name"), [("bge_small", "bge_small"), ("pc_*", "pc"), ("my vectors", "my-vectors")]
)
def test_the_dataset_of_a_column_has_a_name_that_may_be(column: str, name: str) -> None:
    assert name_of_column(column) == name


def test_a_plan_says_what_the_comparison_takes() -> None:
    planned_encoders = {
        "compared": [{"name": "local-minilm"}, {"name": "openai/m"}],
        "n_tokens": 12_000,
        "cost": 0.00024,
        "n_tokens_at_most": 40_000,
        "cost_at_most": 0.0008,
    }
    text = str(Plan({"encoders": planned_encoders}))
    assert "local-minilm, openai/m; about 12,000 tokens, cost 0.00024" in text
    assert "at most 40,000, cost 0.0008" in text


def test_a_report_shows_the_encoders_by_rank(report_json: dict[str, Any]) -> None:
    ranked = {
        "name": "b/large",
        "status": "ranked",
        "n_columns": 1024,
        "held_out": {"log_loss": 0.2, "difference": 0.0, "interval": None, "ties": True},
        "metrics": {"test": {"accuracy": 0.931}},
        "cost_per_1000_texts": 0.0013,
        "latency": {"n_texts": 20, "median_seconds": 0.0121, "p95_seconds": 0.0304},
    }
    small = ranked | {"name": "a/small", "n_columns": 384}
    small["held_out"] = ranked["held_out"] | {"difference": 0.003, "interval": [-0.001, 0.006]}
    gone = {"name": "gone", "status": "failed", "error": {"message": "No such model."}}
    part = {"chosen": "a/small", "reason": "It is cheaper.", "compared": [ranked, small, gone]}
    report = Report.from_json(report_json | {"encoders": part})
    assert report.encoders is not None
    assert report.encoders.compared[1].held_out is not None
    assert report.encoders.compared[1].held_out.interval == (-0.001, 0.006)
    full = report.text(full=True)
    assert "Encoders: It is cheaper." in full
    assert "gone dropped out: No such model." in full
    line = next(one for one in report.text().splitlines() if "a/small" in one)
    assert line.split() == [">", "a/small", "384", "0.200=", "93.1", "0.0013", "12.1", "30.4"]
    assert Report.from_json(report_json).encoders is None
