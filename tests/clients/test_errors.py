"""What a user reads and can branch on when something goes wrong."""

import nmtune_client
import pytest
from nmtune_client import JobFailed, WaitTimeout
from nmtune_client._http import errors as _errors
from nmtune_client._jobs.values import JobData

JOB = JobData(id="job_1", name="pets", status="running", stage="training")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, _errors.BadRequestError),
        (404, _errors.NotFoundError),
        (409, _errors.ConflictError),
        (413, _errors.PayloadTooLargeError),
        (415, _errors.UnsupportedMediaTypeError),
        (422, _errors.ValidationError),
        (429, _errors.RateLimitedError),
        (500, _errors.ServerError),
        (503, _errors.ServerError),
        (418, _errors.APIStatusError),
    ],
)
def test_each_status_has_its_class(status: int, expected: type[Exception]) -> None:
    error = _errors.status_error(status, {"detail": "no"}, request_id=None, fallback="")
    assert type(error) is expected
    assert isinstance(error, _errors.NMTuneError)
    assert error.status == status


def test_text_shows_detail_first_places_and_request_id() -> None:
    problem = {
        "code": "not_finite",
        "detail": "The embeddings hold values that are not finite.",
        "request_id": "req_7",
        "errors": [
            {"field": "embeddings", "row": row, "column": 5, "message": "is NaN."}
            for row in range(5)
        ],
    }
    error = _errors.status_error(422, problem, request_id=None, fallback="")
    assert str(error).splitlines() == [
        "The embeddings hold values that are not finite. (422 not_finite)",
        "  - embeddings, row 0, column 5: is NaN.",
        "  - embeddings, row 1, column 5: is NaN.",
        "  - embeddings, row 2, column 5: is NaN.",
        "  - and 2 more",
        "  request id: req_7",
    ]
    assert len(error.errors) == 5


def test_text_does_not_say_the_same_twice() -> None:
    message = "name: must be 1 to 64 letters."
    errors = [{"field": "name", "message": message}, {"field": "alias", "message": "is taken."}]
    problem = {"detail": message, "errors": errors}
    error = _errors.status_error(422, problem, request_id=None, fallback="")
    assert str(error) == f"{message} (422)\n  - alias: is taken."
    assert len(error.errors) == 2


@pytest.mark.parametrize("problem", [None, [], "text", {"errors": "no list"}, {"errors": [1]}])
def test_a_body_that_is_no_problem_falls_back(problem: object) -> None:
    error = _errors.status_error(502, problem, request_id="req_8", fallback="Bad gateway")
    assert str(error) == "Bad gateway (502)\n  request id: req_8"
    assert error.code is None


def test_job_failed_tells_message_field_and_code() -> None:
    failure = {"code": "invalid_config", "message": "must be at most 1", "field": "learning_rate"}
    error = JobFailed(JOB, failure)
    assert "must be at most 1 (field learning_rate) [invalid_config]" in str(error)
    assert (error.job, error.code) == (JOB, "invalid_config")


def test_job_failed_without_a_reason_says_so() -> None:
    assert "gave no reason" in str(JobFailed(JOB))


def test_wait_timeout_says_that_the_job_goes_on() -> None:
    assert "still running (training) after 1.5 s; it goes on" in str(WaitTimeout(JOB, 1.5))


def subclasses(cls: type) -> set[type]:
    return {cls} | {one for inner in cls.__subclasses__() for one in subclasses(inner)}


def test_door_is_complete_and_sorted() -> None:
    assert nmtune_client.__all__ == sorted(nmtune_client.__all__)
    errors = {one.__name__ for one in subclasses(_errors.NMTuneError)}
    assert errors <= set(nmtune_client.__all__)
    assert all(hasattr(nmtune_client, name) for name in nmtune_client.__all__)
