# Written by generate_sync.py out of _async/heads.py: edit that file, then run the script.
"""`client.heads`: the registry of tuned heads."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from nmtune_client._datasets.values import Dataset
from nmtune_client._heads.arguments import (
    FOLDERS,
    alias_update,
    compared,
    export,
    labelled,
    notes,
)
from nmtune_client._heads.calls import (
    adapt_head,
    annotate_head_version,
    compare_versions,
    delete_alias,
    delete_head,
    delete_head_version,
    get_drift,
    get_head,
    get_head_version,
    list_aliases,
    list_heads,
    roll_back_alias,
    select_rows,
    set_alias,
)
from nmtune_client._heads.comparison import HeadComparison
from nmtune_client._heads.drift import Drift
from nmtune_client._heads.folder import unpacking
from nmtune_client._heads.rows import HEAD_HEADER, head_row
from nmtune_client._heads.values import Adaptation, Head, HeadAlias, HeadVersion
from nmtune_client._jobs.migration_calls import migrate_head, migration, plan_migration
from nmtune_client._jobs.plan import Plan
from nmtune_client._show.reprs import OfClient
from nmtune_client._sync.concurrency import listing
from nmtune_client._sync.job import Job
from nmtune_client._sync.paging import paged
from nmtune_client._sync.sender import Sender


class Heads(OfClient):
    """The registry of tuned heads."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def list(self, *, limit: int | None = None) -> Iterator[Head]:
        """All heads; pages are fetched as the iterator reaches them."""
        heads = paged(
            self._sender, lambda cursor, size: list_heads(cursor=cursor, limit=size), limit=limit
        )
        return listing(heads, header=HEAD_HEADER, row=head_row)

    def get(self, name: str) -> Head:
        """One head with its versions and aliases."""
        return self._sender.send(get_head(name))

    def version(self, name: str, version: int) -> HeadVersion:
        """One version of a head."""
        return self._sender.send(get_head_version(name, version))

    def update(
        self,
        name: str,
        version: int,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> HeadVersion:
        """Set a version's description, or replace all its tags; returns the version.

        None leaves a note as it is; an empty description, or empty tags, remove it.
        """
        call = annotate_head_version(name, version, notes(description, tags))
        return self._sender.send(call)

    def drift(
        self,
        name: str,
        *,
        version: int | None = None,
        alias: str | None = None,
        hours: int | None = None,
        by: str | None = None,
    ) -> Drift:
        """Whether rows predicted in the last `hours` (24) still look like the training rows.

        Of the latest version, or of `version` or of the one that `alias` names. With by="hour",
        `Drift.windows` compares each hour on its own too. The server counts rows only if its
        operator lets it: `Drift.is_recording`.
        """
        return self._sender.send(get_drift(name, version=version, alias=alias, hours=hours, by=by))

    def aliases(self, name: str) -> tuple[HeadAlias, ...]:
        """The head's aliases: what each names, since when, and what it named before."""
        return (self._sender.send(list_aliases(name))).items

    def set_alias(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        class_shares: Mapping[str, float] | Literal["kept"] | None = "kept",
    ) -> None:
        """Let `name@alias` mean `version` from now on.

        class_shares: the share of each class in use, such as {"ham": 0.52, "spam": 0.48}:
        predictions by the alias are corrected to it unless they name other shares. None removes
        it; "kept" leaves what the alias has.
        """
        call = set_alias(name, alias, alias_update(version, class_shares))
        self._sender.send(call)

    def adapt(
        self,
        name: str,
        embeddings: object = None,
        labels: object = None,
        *,
        texts: object = None,
        dataset: str | Dataset | None = None,
        split: str | None = None,
        rows: Sequence[int] | None = None,
        version: int | str = "latest",
        alias: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Adaptation:
        """Adapt a head to 10 to 10,000 labelled rows of a new domain; 20 are enough.

        embeddings (n, d), or texts for a head that was trained on texts, with labels, one a row;
        or a stored dataset, of which `split`, and `rows` in it, choose. Label a random sample of
        the new rows. One bias per class and one temperature are fitted, and published as a new
        version if rows held out in turn show that it pays: `Adaptation.published`. version: the
        one to adapt, by number or alias. alias: to point at the new version; by default none moves.
        """
        data = labelled(embeddings, labels, texts, dataset)
        data |= {"version": str(version)} | notes(description, tags)
        chosen = {"split": split, "rows": None if rows is None else list(rows), "alias": alias}
        data |= {key: value for key, value in chosen.items() if value is not None}
        return self._sender.send(adapt_head(name, data, idempotency_key=idempotency_key))

    def migrate(
        self,
        name: str,
        *,
        provider: str | Mapping[str, Any],
        version: int | str = "latest",
        bridge: str | Dataset | None = None,
        force: bool = False,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Take a head to another encoder, as a job that publishes a version and moves no alias.

        provider: the encoder to go to, as in `jobs.create`. version: the one to start from, by
        number or alias. Without a bridge the head's own texts are embedded anew, and it is trained
        anew with the same settings; `compare` then tells what changed, on the same test rows.
        bridge: a stored dataset of texts, with or without labels, that both encoders embed: they
        carry the head over if its own texts are gone. `Job.migration` has what was found; the job
        fails with `agreement_too_low` if the moved head differs on more than a tenth of held-out
        texts, unless `force`.
        """
        data = migration(
            provider=provider,
            version=version,
            bridge=bridge,
            force=force,
            description=description,
            tags=tags,
            queue=queue,
            priority=priority,
        )
        call = migrate_head(name, data, idempotency_key=idempotency_key)
        return Job(self._sender, self._sender.send(call))

    def plan_migration(
        self,
        name: str,
        *,
        provider: str | Mapping[str, Any],
        version: int | str = "latest",
        bridge: str | Dataset | None = None,
    ) -> Plan:
        """What `migrate` would do, with the tokens and the cost; nothing is stored or embedded."""
        data = migration(provider=provider, version=version, bridge=bridge)
        return self._sender.send(plan_migration(name, data))

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; the version that it named stays."""
        self._sender.send(delete_alias(name, alias))

    def rollback(
        self, name: str, alias: str, *, expected: int | None = None, from_: int | None = None
    ) -> HeadVersion:
        """Point `name@alias` at the version that it named before; that version.

        expected (`from_` by the API's word): only if the alias points at this version now.
        ConflictError if it does not, or if there is nothing to go back to.
        """
        return self._sender.send(
            roll_back_alias(name, alias, expected=from_ if expected is None else expected)
        )

    def compare(
        self,
        name: str,
        before: int | str | None = None,
        after: int | str | None = None,
        *,
        from_: int | str | None = None,
        to: int | str | None = None,
    ) -> HeadComparison:
        """Two versions, by number or alias, side by side, with a cautious verdict.

        `from_` and `to` are the API's words for before and after.
        """
        return self._sender.send(compare_versions(name, *compared(before, after, from_, to)))

    def delete(self, name: str, version: int | None = None, *, force: bool = False) -> None:
        """Delete one version, or all of them with None: rows and bytes; numbers are not reused.

        ConflictError while an alias points at it, unless `force`: the alias then goes too.
        """
        if version is None:
            self._sender.send(delete_head(name, force=force))
        else:
            self._sender.send(delete_head_version(name, version, force=force))

    def select(
        self,
        name: str,
        dataset: str | Dataset,
        *,
        n_rows: int = 100,
        version: int | str = "latest",
        ood_share: float | None = None,
        format: Literal["jsonl", "csv"] = "jsonl",  # noqa: A002  the API's word
        seed: int = 0,
        path: str | PathLike[str] | None = None,
    ) -> Path:
        """Write the rows of a dataset without labels that are worth a label to a file; its path.

        dataset: stored with `unlabelled=True`, or its id. ood_share: the share of rows that goes to
        rows unlike the training rows, 0.2 unless given. path: by default NAME-VERSION-to-label with
        the format's ending, in this folder. Fill in `label`, and send the file by `append` of the
        dataset that the head was trained on.
        """
        found: dict[str, object] = {
            "version": str(version),
            "dataset_id": dataset if isinstance(dataset, str) else dataset.id,
            "n_rows": n_rows,
            "format": format,
            "seed": seed,
        }
        if ood_share is not None:
            found["ood_share"] = ood_share
        target = Path(path or f"{name}-{version}-to-label.{format}")
        self._sender.download(select_rows(name, found), target)
        return target

    def export(
        self,
        name: str,
        version: int | str = "latest",
        *,
        format: str = "bundle",  # noqa: A002  the API's word
        path: str | PathLike[str] | None = None,
    ) -> Path:
        """Write a version, by number or alias, to a file or folder; its path.

        format: bundle (a zip of the head, ONNX, a model card and a numpy runner), onnx,
        safetensors, sklearn (a skops file); of a head with an adapted encoder also peft and encoder
        (zips of the adapter and of the merged encoder, each with the head); or a new folder: mlflow
        (a model that MLflow loads), hf (for a model hub). path: by default NAME-VERSION with the
        format's ending, in this folder. It is there whole or not at all. ServerError with code
        `export_disagrees`: the server refuses an export that would not answer as the head does.
        """
        call, target = export(name, version, form=format, path=path)
        if format in FOLDERS:
            with unpacking(target) as packed:
                self._sender.download(call, packed)
        else:
            self._sender.download(call, target)
        return target
