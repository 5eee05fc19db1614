"""Stored identities and fingerprints stay valid: vectors and heads are found by them."""

from providers import catalogue
from providers.encoder import Encoder, fingerprint

IDENTITY = "288cc47a495ecf8f38f89cd073309a0dc0c2c982979e582329d6a14bc328221c"


def test_an_identity_is_that_of_earlier_versions() -> None:
    encoder = catalogue.resolve("openai", model="m")
    assert encoder.identity == IDENTITY
    assert Encoder.from_dict(encoder.to_dict() | {"usage": {}}) == encoder


def test_a_fingerprint_is_that_of_earlier_versions() -> None:
    expected = "c13feae56a3d2a2073f3f9a2bf76ea6c4d959df9c5aa87dd7e7c6016cf4a8b65"
    assert fingerprint(IDENTITY, [[3.0, 1.5, -0.25]]) == expected
    assert fingerprint(IDENTITY, [[3.0, 1.5, 0.25]]) != expected
