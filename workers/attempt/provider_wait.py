"""What a job remembers about its provider while it waits for it, so that waiting leads somewhere.

It is in the job's row beside the reason: how often the job has waited in a row, which request sizes
it has learnt, and when the encoder was recognised. So a provider that allows a few requests a
minute does not spend them on probe texts.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from providers.batches import Caps
from providers.embedder import Patience
from providers.errors import ProviderBusy, ProviderUnavailable
from providers.provider import Limits
from store.jobs import Job
from workers.attempt import failure
from workers.attempt.failure import Wait

RECOGNISED_SECONDS: Final = 3600.0
"""How long a recognised encoder counts as the same."""
BUSY_AGAIN_SECONDS: Final = 5.0
"""How long a slot is held after a wait for a provider that is still busy."""
_SIZES: Final = ("max_items", "max_tokens", "max_bytes")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What earlier attempts of a waiting job have found out."""

    n_waits: int = 0
    code: str | None = None
    sizes: dict[str, int] | None = None
    recognised_at: datetime | None = None

    @classmethod
    def of(cls, job: Job) -> "Memory":
        kept: dict[str, Any] = (job.waiting or {}).get("memory") or {}
        at = kept.get("recognised_at")
        return cls(
            n_waits=kept.get("n_waits", 0),
            code=(job.waiting or {}).get("code"),
            sizes=kept.get("sizes"),
            recognised_at=None if at is None else datetime.fromisoformat(at),
        )

    @property
    def is_recognised(self) -> bool:
        """Whether the encoder was recognised so recently that its probe texts can be left out."""
        if self.recognised_at is None:
            return False
        return datetime.now(UTC) - self.recognised_at < timedelta(seconds=RECOGNISED_SECONDS)

    def patience(self, *, is_for_probes: bool = False) -> Patience:
        """How long to try: only once after a provider was away, since other jobs want the slot.

        A provider that was busy gets a moment, in which batches are halved. Probe texts are too few
        to be halved, so they are tried only once too.
        """
        if not self.n_waits:
            return Patience()
        is_looked_at = is_for_probes or self.code != ProviderBusy.code
        return Patience(give_up_seconds=0.0 if is_looked_at else BUSY_AGAIN_SECONDS)

    def caps(self, limits: Limits) -> Caps:
        """The learnt limits of one request, halved after repeated waits without a result."""
        sizes = self.sizes or {}
        if self.n_waits > 1 and self.code == ProviderBusy.code:
            sizes = {name: max(1, size // 2) for name, size in sizes.items()}
        return Caps(replace(limits, **sizes))


@dataclass(frozen=True)
class Pause:
    """A pause too short to give the slot back for."""

    until: datetime
    shown: dict[str, str]

    @classmethod
    def of(cls, reason: ProviderUnavailable, seconds: float) -> "Pause":
        now = datetime.now(UTC)
        until = now + timedelta(seconds=seconds)
        shown = {"code": reason.code, "message": str(reason), "since": now.isoformat()}
        return cls(until, shown | {"until": until.isoformat()})


def wait_for(
    error: ProviderUnavailable,
    memory: Memory,
    *,
    caps: Caps | None = None,
    n_left: int = 0,
    has_got: bool = False,
) -> Wait:
    """The wait that an error leads to; `has_got`: vectors came before it.

    n_left: how many texts are still to be embedded within `caps`.
    """
    n_waits = 1 if has_got else memory.n_waits + 1
    sizes = memory.sizes
    if caps is not None:
        sizes = {name: getattr(caps.now, name) for name in _SIZES}
        sizes["max_items"] = max(1, min(sizes["max_items"], n_left))
    at = memory.recognised_at
    kept = {
        "n_waits": n_waits,
        "sizes": sizes,
        "recognised_at": None if at is None else at.isoformat(),
    }
    return Wait(
        reason={**failure.told_of(error), "memory": kept},
        delay_seconds=failure.provider_delay_seconds(error, n_waits=n_waits),
    )
