"""The words for a delivery: why it is made, and where it stands."""

from enum import StrEnum


class DeliveryKind(StrEnum):
    """Why a delivery is made; only `event` counts for or against its endpoint's health."""

    EVENT = "event"
    PING = "ping"
    REPLAY = "replay"


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENDING = "sending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
