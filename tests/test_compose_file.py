"""What of docker-compose.yml can be seen without docker: it hands every documented setting on."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

# What the image and the network fix: the address and folders inside a container.
FIXED = {"HOST", "PORT", "DATA_DIR", "ARTIFACTS_DIR"}


def test_every_setting_can_be_set_in_the_env_file() -> None:
    text = (ROOT / "docs/reference/settings.md").read_text()
    documented = set(re.findall(r"^\| `NMTUNE_([A-Z0-9_]+)` ", text, re.MULTILINE))
    handed_on = set(
        re.findall(r"^\s+NMTUNE_([A-Z0-9_]+):", (ROOT / "docker-compose.yml").read_text(), re.M)
    )
    missing = documented - handed_on - FIXED
    assert not missing, f"name them in docker-compose.yml, without a value: {sorted(missing)}"
