"""The headers that tell a client how much is left, by the IETF draft.

draft-ietf-httpapi-ratelimit-headers-10 says the syntax: structured fields (RFC 9651) with the name
of the policy, `q` its quota, `qu` the unit, `w` the window in seconds; and `r` what is left, `t`
the seconds until the quota is whole again. It is a draft: nothing else here knows these names.
"""

import math
from typing import Final

from service.limits.buckets import Bucket
from service.limits.classes import RequestClass

POLICY: Final = b"ratelimit-policy"
STATE: Final = b"ratelimit"


def policy_of(request_class: RequestClass, bucket: Bucket) -> tuple[bytes, bytes]:
    """The header that says what holds; the same for all answers of the class."""
    window = max(1, math.ceil(bucket.burst_seconds))
    unit = f'"{request_class.unit}"'
    said = f'"{request_class.value}";q={bucket.burst};qu={unit};w={window}'
    return POLICY, said.encode()


def state_of(request_class: RequestClass, left: tuple[int, int]) -> tuple[bytes, bytes]:
    """The header that says what is left, and for how long."""
    return STATE, b'"%s";r=%d;t=%d' % (request_class.value.encode(), *left)
