"""Store a prepared dataset, bytes and row, once for an Idempotency-Key."""

import logging
from dataclasses import dataclass

from service.datasets.schemas import Dataset
from service.http import idempotency
from service.http.idempotency import Answer, Key
from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.dataset.texts import PreparedTexts
from store import datasets, failpoints
from store.access import audit, quotas
from store.access.audit import Actor
from store.access.limits import Limits
from store.database.connection import Transaction
from store.datasets import Lineage
from store.idempotency import StoredResponse
from store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Storing:
    """For whom, and under which key, a request stores what it makes."""

    store: Store
    actor: Actor
    key: Key | None
    keep_seconds: float | None
    limits: Limits
    """Of a tenant that has none of its own."""
    upload_id: str | None = None
    """The upload that the rows come from, which does not count beside them."""

    @property
    def tenant_id(self) -> str:
        """Whose the dataset will be."""
        return self.actor.tenant_id

    def earlier(self) -> Answer | None:
        """The answer to an earlier request with the key; ask before doing any work."""
        return idempotency.earlier(self.store, self.tenant_id, self.key)

    def add(
        self,
        ready: PreparedDataset | PreparedTexts,
        *,
        name: str,
        lineage: Lineage | None = None,
    ) -> Answer:
        """Store the dataset, all or nothing. Blocking; raises Conflict and StorageUnavailable."""
        store, tenant_id = self.store, self.tenant_id
        artifact = ready.put(store.artifacts, tenant_id)
        failpoints.reach("dataset.stored")

        def record(tx: Transaction) -> StoredResponse:
            quotas.check_stored_bytes(
                tx,
                tenant_id,
                self.limits,
                more=artifact.size_bytes,
                but_upload=self.upload_id,
            )
            added = ready.add(
                tx,
                tenant_id,
                name=name,
                artifact=artifact,
                artifacts=store.artifacts,
                lineage=lineage,
            )
            if self.keep_seconds is not None:
                added = datasets.keep(tx, tenant_id, added.id, keep_seconds=self.keep_seconds)
            parent_id = None if lineage is None else lineage.parent_id
            audit.note(
                tx,
                self.actor,
                "dataset.created",
                added.id,
                name=name,
                parent_id=parent_id,
                size_bytes=artifact.size_bytes,
            )
            body = Dataset.of(added).model_dump_json().encode()
            return StoredResponse(status_code=201, body=body)

        answer = idempotency.once(store, tenant_id, self.key, record)
        if not answer.is_replay:
            logger.info(
                "dataset.created dataset_id=%s size_bytes=%s parent_id=%s",
                answer.id,
                artifact.size_bytes,
                None if lineage is None else lineage.parent_id,
            )
        return answer
