"""The model card: what the hub reads and people need, whatever the names."""

from datetime import UTC, datetime

import yaml

from service.export.card import model_card
from service.export.card import yaml as written_yaml
from store.registry.heads import HeadVersion


def test_hostile_names_begin_no_line_of_the_card() -> None:
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
        classes=["a\n---\n# evil", "`b`|c"],
        n_parameters=1,
        config={},
        metrics={"ood/x\n# evil": {"accuracy": 0.5}},
        encoder=None,
        dataset_sha256=None,
        lineage={},
        created_at=datetime.now(UTC),
        aliases=(),
    )
    card = model_card(version, {}, temperature=1.0, stored_rows=0)
    assert not [line for line in card.splitlines() if line.startswith("# evil")]
    assert card.splitlines().count("---") == 2
    assert yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"]


def test_strings_that_yaml_would_read_otherwise_stay_strings() -> None:
    hostile = {"a": ["no", "1", "- x", "a: b", "#", "\n---\n", "\u2028", {"b": None, "c": [1.5]}]}
    assert yaml.safe_load(written_yaml(hostile)) == hostile
