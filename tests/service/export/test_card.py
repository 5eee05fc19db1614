"""The model card: what the hub reads and people need, whatever the names."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import yaml

from service.export.card import model_card
from service.export.card import yaml as written_yaml
from store.registry.heads import HeadVersion


def version_with(**changes: Any) -> HeadVersion:
    version = HeadVersion(
        tenant_id="default",
        name="pets",
        version=1,
        job_id="job_1",
        dataset_id="ds_1",
        sha256="a" * 64,
        size_bytes=1,
        method="auto",
        n_columns=2,
        classes=["a", "b"],
        n_parameters=1,
        config={},
        metrics={},
        encoder=None,
        dataset_sha256=None,
        lineage={},
        created_at=datetime.now(UTC),
        aliases=(),
    )
    return replace(version, **changes)


def test_hostile_names_begin_no_line_of_the_card() -> None:
    version = version_with(
        classes=["a\n---\n# evil", "`b`|c"], metrics={"ood/x\n# evil": {"accuracy": 0.5}}
    )
    card = model_card(version, {}, temperature=1.0, stored_rows=0)
    assert not [line for line in card.splitlines() if line.startswith("# evil")]
    assert card.splitlines().count("---") == 2
    assert yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"]


def test_a_head_on_an_adapted_encoder_says_whose_embeddings_it_judges() -> None:
    base = {"provider": "local", "model": "local-minilm", "adapter": None}
    for form in ("bundle", "hf", "mlflow"):
        version = version_with(encoder=base | {"adapter": "b" * 64})
        card = model_card(version, {}, temperature=1.0, stored_rows=0, form=form)
        assert "That model is local-minilm **after it was adapted**" in card
        assert "frozen embeddings" not in card
    card = model_card(version_with(encoder=base), {}, temperature=1.0, stored_rows=0)
    assert "adapted" not in card
    assert "frozen embeddings" in card


def test_strings_that_yaml_would_read_otherwise_stay_strings() -> None:
    hostile = {"a": ["no", "1", "- x", "a: b", "#", "\n---\n", "\u2028", {"b": None, "c": [1.5]}]}
    assert yaml.safe_load(written_yaml(hostile)) == hostile
