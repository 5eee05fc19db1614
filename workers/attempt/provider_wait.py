"""What a job remembers of its provider while it waits for it, so that waiting leads somewhere.

It lies in the job's row beside the reason: how often the job has waited in a row, which sizes of
requests were learnt, and when the encoder was recognised, so that a provider that allows a few
requests a minute does not spend them on canaries.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from providers.batches import Caps
from providers.engine import Patience
from providers.errors import ProviderBusy, ProviderUnavailable
from providers.provider import Limits
from store.jobs import Job
from workers.attempt import failure
from workers.attempt.failure import Wait

RECOGNISED_SECONDS: Final = 3600.0
"""How long an encoder that was recognised is taken for the same."""
BUSY_AGAIN_SECONDS: Final = 5.0
"""How long a slot is held, after a wait, for a provider that is busy still."""
_SIZES: Final = ("max_items", "max_tokens", "max_bytes")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What earlier attempts of a job that waits have found out."""

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
        """Whether the encoder was recognised so lately that its canaries need not be asked."""
        if self.recognised_at is None:
            return False
        return datetime.now(UTC) - self.recognised_at < timedelta(seconds=RECOGNISED_SECONDS)

    def patience(self, *, is_for_canaries: bool = False) -> Patience:
        """A provider that was away is only looked at: others want the slot.

        One that was busy is given a moment, in which batches are halved; its canaries are too few
        to be halved, and are looked at too.
        """
        if not self.n_waits:
            return Patience()
        is_looked_at = is_for_canaries or self.code != ProviderBusy.code
        return Patience(give_up_seconds=0.0 if is_looked_at else BUSY_AGAIN_SECONDS)

    def caps(self, limits: Limits) -> Caps:
        """What one request may hold: what was learnt, and half of it after waits for nothing."""
        sizes = self.sizes or {}
        if self.n_waits > 1 and self.code == ProviderBusy.code:
            sizes = {name: max(1, size // 2) for name, size in sizes.items()}
        return Caps(replace(limits, **sizes))


@dataclass(frozen=True)
class Pause:
    """A wait that is too short to give the slot back for."""

    until: datetime
    told: dict[str, str]

    @classmethod
    def of(cls, reason: ProviderUnavailable, seconds: float) -> "Pause":
        now = datetime.now(UTC)
        until = now + timedelta(seconds=seconds)
        told = {"code": reason.code, "message": str(reason), "since": now.isoformat()}
        return cls(until, told | {"until": until.isoformat()})


def wait_for(
    error: ProviderUnavailable,
    memory: Memory,
    *,
    caps: Caps | None = None,
    n_left: int = 0,
    has_got: bool = False,
) -> Wait:
    """The wait that follows from an error; `has_got`: something came before it did.

    n_left: texts that are yet to be embedded within `caps`.
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
