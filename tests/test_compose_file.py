"""What of docker-compose.yml can be seen without docker: it hands every documented setting on."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

# What the image and the network fix: address and folders in a container; TLS is the proxy's.
FIXED = {"HOST", "PORT", "TLS_CERT", "TLS_KEY", "DATA_DIR", "ARTIFACTS_DIR"}


def test_every_setting_can_be_set_in_the_env_file() -> None:
    text = (ROOT / "docs/reference/settings.md").read_text()
    documented = set(re.findall(r"^\| `NMTUNE_([A-Z0-9_]+)` ", text, re.MULTILINE))
    handed_on = set(
        re.findall(r"^\s+NMTUNE_([A-Z0-9_]+):", (ROOT / "docker-compose.yml").read_text(), re.M)
    )
    missing = documented - handed_on - FIXED
    assert not missing, f"name them in docker-compose.yml, without a value: {sorted(missing)}"


def test_no_password_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{(POSTGRES_PASSWORD|REDIS_PASSWORD)(:\?|)", text)
    assert {name for name, _ in used} == {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert all(must_be_given for _, must_be_given in used)
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^\w+_PASSWORD=(.*)$", example, re.M)) == {""}
