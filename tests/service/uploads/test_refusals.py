"""Uploads that cannot be begun, and parts that cannot be read."""

import pytest

from tests.service.in_process import InProcess, assert_problem
from tests.service.uploads.upload_calls import PART, TUS, begin, described, offset


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upload-Length": "10"}, 412, "unsupported_tus_version"),
        ({"Upload-Length": "10", "Tus-Resumable": "0.2.2"}, 412, "unsupported_tus_version"),
        (TUS, 400, "invalid_upload_header"),
        ({**TUS, "Upload-Length": "-1"}, 400, "invalid_upload_header"),
        ({**TUS, "Upload-Length": "1e3"}, 400, "invalid_upload_header"),
        ({**TUS, "Upload-Length": "9" * 18}, 413, "body_too_large"),
        ({**TUS, "Upload-Length": "9" * 5000}, 400, "invalid_upload_header"),
        ({**TUS, "Upload-Length": "1", "Upload-Metadata": "a !"}, 400, "invalid_upload_header"),
        (
            {**TUS, "Upload-Length": "1", "Upload-Metadata": "\x7f YQ=="},
            400,
            "invalid_upload_header",
        ),
        (
            {**TUS, "Upload-Length": "1", "Upload-Metadata": "a" * 2049},
            400,
            "invalid_upload_header",
        ),
        (
            {**TUS, "Upload-Length": "1", "Upload-Metadata": described(sha256="x")},
            400,
            "invalid_upload_header",
        ),
    ],
)
def test_an_upload_that_cannot_be_begun(
    refusing: InProcess, headers: dict[str, str], status: int, code: str
) -> None:
    response = refusing.post("/uploads", headers=headers)
    assert_problem(response, status, code)
    assert response.headers["tus-resumable"] == "1.0.0"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"Upload-Offset": ""}, 400, "invalid_upload_header"),
        ({"Upload-Offset": "one"}, 400, "invalid_upload_header"),
        ({"Content-Type": "text/csv"}, 415, "unsupported_media_type"),
        ({"Upload-Checksum": "md5 AAAA"}, 400, "invalid_upload_header"),
        ({"Upload-Checksum": "sha256 AAAA"}, 400, "invalid_upload_header"),
        ({"Tus-Resumable": "2.0.0"}, 412, "unsupported_tus_version"),
    ],
)
def test_a_part_that_cannot_be_read(
    refusing: InProcess, changes: dict[str, str], status: int, code: str
) -> None:
    path = begin(refusing, 10)
    headers = {**PART, "Upload-Offset": "0", **changes}
    assert_problem(refusing("PATCH", path, headers=headers, content=b"x"), status, code)
    assert offset(refusing, path) == 0
