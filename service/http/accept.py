"""Which of the forms that an answer may have the Accept header asks for."""

import math


def preferred(accept: str, *media_types: str) -> str:
    """The media type with the greatest weight; of equal ones, or if none is named, the first."""
    weights = dict.fromkeys(media_types, 0.0)
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        weight = _weight(next((p[2:] for p in parameters if p.startswith("q=")), "1"))
        for media_type in media_types:
            kind = media_type.partition("/")[0]
            if media_range in (media_type, f"{kind}/*", "*/*"):
                weights[media_type] = max(weights[media_type], weight)
    return max(media_types, key=lambda media_type: weights[media_type])


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if math.isfinite(weight) else 0.0
