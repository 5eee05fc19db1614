"""The service's settings come from variables, and wrong ones are refused by name."""

import pytest
from pydantic import ValidationError

from service.settings import ServiceSettings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMTUNE_PORT", "9000")
    monkeypatch.setenv("NMTUNE_MAX_PREDICT_ROWS", "5")
    settings = ServiceSettings()
    assert (settings.port, settings.max_predict_rows) == (9000, 5)
    assert settings.host == "127.0.0.1"  # nobody else is let in unless the operator says so


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("THREADS", "0"),
        ("BODY_SECONDS", "0"),
        ("MAX_JSON_BYTES", "-1"),
        ("EVENTS_POLL_SECONDS", "nan"),
        ("HEAD_CACHE_BYTES", "many"),
    ],
)
def test_a_setting_that_cannot_work_refuses_to_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"NMTUNE_{name}", value)
    with pytest.raises(ValidationError):
        ServiceSettings()
