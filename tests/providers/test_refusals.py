"""What a refusal means, by what providers really send."""

import json
from typing import Any

import pytest

from providers import errors
from providers.errors import ProviderError
from providers.http import refusals
from providers.http.exchange import Answer

URL = "https://api.example/v1/embeddings"


def google(quota_id: str, delay: str | None = "3s") -> dict[str, Any]:
    """Google's 429: the same words for a minute's and for a day's limit."""
    details: list[dict[str, Any]] = [
        {"@type": "x/google.rpc.QuotaFailure", "violations": [{"quotaId": quota_id}]}
    ]
    if delay is not None:
        details.append({"@type": "x/google.rpc.RetryInfo", "retryDelay": delay})
    return {
        "error": {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "message": "You exceeded your current quota, please check your plan and billing "
            "details. Please retry in 3s.",
            "details": details,
        }
    }


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


BUSY = [
    (429, google("EmbedContentRequestsPerMinutePerUserPerProjectPerModel-FreeTier")),
    (429, google("EmbedContentTokensPerMinutePerProject", None)),
    (429, google("PerHourPerProject", "1800s")),
    (429, {}),
    (429, said("Rate limit reached for m on requests per min (RPM): Limit 3, Used 3, Requested 1")),
    (
        429,
        said(
            "Rate limit reached on tokens per min (TPM): Limit 1000000, Used 999000, Requested "
            "5000. Please try again in 240ms. Visit https://platform.example/account/billing"
        ),
    ),
    (
        429,
        said("You have not added a payment method on the billing page: now 3 RPM, 10K TPM"),
    ),
    (429, said("Your quota is used up. Try again in 20 minutes.")),
    (429, said("Model is overloaded", type="overloaded")),
    (429, said("Please reduce your request rate.")),
    (429, said("This request would exceed your organization's rate limit of 50,000 per minute")),
    (403, said("Quota exceeded for requests per minute", status="rateLimitExceeded")),
    (400, {"__type": "ThrottlingException", "message": "Too many requests"}),
]
SPENT = [
    (429, google("EmbedContentRequestsPerDayPerProjectPerModel-FreeTier")),
    (429, said("You exceeded your current quota", code="insufficient_quota")),
    (429, said("You exceeded your current quota, please check your plan and billing details.")),
    (429, said("Rate limit reached on requests per day (RPD): Limit 200. Try again in 7m12s.")),
    (429, {"message": "Your Trial key is limited to 1000 API calls / month."}),
    (429, said("Billing hard limit has been reached", code="billing_hard_limit_reached")),
    (402, said("Payment required")),
    (403, said("Insufficient balance")),
    (429, said("You have run out of credits; try again in 5s")),
]
TOO_MUCH = [
    (429, said("this request has more tokens than the per-minute limit")),
    (429, said("Request too large on tokens per min (TPM): Limit 30000, Requested 45000.")),
    (429, said("The input must be smaller: Limit: 30,000 / min, Requested: 45,000 (TPM)")),
    (413, said("Request too large for m on tokens per minute (TPM): Limit 6000, Requested 8000")),
    (413, b"<html>nginx</html>"),
    (400, said("Invalid 'input': array too long. Expected maximum length 2048, got 3000.")),
    (422, {"error": "batch size 40 > maximum allowed batch size 32", "error_type": "Validation"}),
    (400, said("At most 100 requests can be in one batch")),
]
TOO_LONG = [
    (500, said("input (849 tokens) is too large to process. increase the physical batch size")),
    (500, said("input is too large to process. increase the physical batch size")),
    (400, said("Input length 849 exceeds maximum allowed token size 512")),
    (400, said("This model's maximum context length is 8192 tokens, however you asked for 9000")),
    (413, said("`inputs` must have less than 512 tokens. Given: 849, and the text is too long")),
    (422, {"error": "`inputs` must have less than 512 tokens. Given: 849"}),
    (400, said("the input length exceeds the context length")),
    (500, {"error": "the input length exceeds the context length"}),
    (400, {"message": "too many tokens: texts[3] exceeds the maximum of 512"}),
]
PASSING = [
    (500, said("internal error")),
    (500, said("the request took too long")),
    (503, said("max queue size exceeded")),
    (529, {}),
    (408, {}),
    (424, {}),
]


def error_of(status: int, content: Any, **headers: str) -> ProviderError:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return refusals.error_of(Answer(status, body, headers), key=None, url=URL)


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        *((*one, errors.ProviderBusy) for one in BUSY),
        *((*one, errors.QuotaExhausted) for one in SPENT),
        *((*one, errors.TooMuch) for one in TOO_MUCH),
        *((*one, errors.ProviderUnavailable) for one in PASSING),
        (401, said("bad key"), errors.KeyRefused),
        (404, said("The model `x` does not exist"), errors.InvalidProvider),
        (400, said("no"), errors.InputRefused),
    ],
)
def test_a_refusal_is_told_by_status_codes_and_words(
    status: int, content: Any, kind: type[ProviderError]
) -> None:
    assert type(error_of(status, content)) is kind


@pytest.mark.parametrize(("status", "content"), TOO_LONG)
def test_a_text_that_is_too_long_is_told_whatever_the_status(status: int, content: Any) -> None:
    # Whether it is one text or all of them may be unclear; either is halved, then cut.
    assert isinstance(error_of(status, content), errors.TooLong | errors.TooMuch)


def test_how_much_would_be_taken_is_read_where_two_numbers_say_it() -> None:
    error = error_of(400, said("Input length 849 exceeds maximum allowed token size 512"))
    assert isinstance(error, errors.TooLong)
    assert error.share_taken == pytest.approx(512 / 849)
    vague = error_of(400, said("Input length 849 exceeds 512 by 337 tokens: maximum length"))
    assert isinstance(vague, errors.TooLong)
    assert vague.share_taken is None


@pytest.mark.parametrize("status", [404, 405])
def test_an_unknown_path_names_the_url_and_the_usual_causes(status: int) -> None:
    for content in ({}, {"detail": "Not Found"}, b"<html>", b"404 page not found"):
        error = error_of(status, content)
        assert isinstance(error, errors.UnknownPath)
        assert error.field == "base_url"
        for expected in (URL, f"HTTP {status}", "/v1", "/embeddings"):
            assert expected in str(error)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (google("RequestsPerMinute"), errors.ProviderBusy),
        ([google("RequestsPerMinute")], errors.ProviderBusy),
        (google("RequestsPerDay"), errors.QuotaExhausted),
        (said("slow down", code=429), errors.ProviderBusy),
        (said("slow down", code="429"), errors.ProviderBusy),
        (said("slow down", type="rate_limit_exceeded"), errors.ProviderBusy),
        (said("no such key", code="invalid_api_key"), errors.KeyRefused),
        (said("overloaded", code=503), errors.ProviderUnavailable),
        (said("gone", code=404), errors.UnknownPath),
        ({"error": "Unexpected endpoint or method. (POST /embeddings)"}, errors.UnknownPath),
        ({"object": "error", "message": "no", "code": 400}, errors.InputRefused),
        ({"error": {"message": "input is too long", "code": 400}}, errors.TooLong),
        ({"error": "something odd"}, errors.WrongAnswer),
        ({"errors": [{"message": "something odd"}]}, errors.WrongAnswer),
    ],
)
def test_an_error_behind_a_200_counts_as_its_own_status(
    content: Any, kind: type[ProviderError]
) -> None:
    body = json.dumps(content).encode()
    error = refusals.hidden_in(Answer(200, body), json.loads(body), key=None, url=URL)
    assert type(error) is kind
    assert "It says:" in str(error), "in the provider's words"


@pytest.mark.parametrize(
    "content", [{"error": None, "data": []}, {"data": []}, [], [[1.0]], {"errors": []}, 5]
)
def test_an_answer_hides_no_error(content: Any) -> None:
    body = json.dumps(content).encode()
    assert refusals.hidden_in(Answer(200, body), content, key=None, url=URL) is None
