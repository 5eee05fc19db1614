"""Prove that the tests notice: break the product in many ways, one at a time.

Usage: `python tests/mutants.py [WORD ...]` (`make mutants`); with words, only mutants whose name
has one. Each is put into a copy of the tree and the tests named beside it must fail; before that,
they must pass. The last column is the first test that failed. Exits with 1 if a mutant lives.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 900
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "docs")


@dataclass(frozen=True)
class Mutant:
    """In `path` each old text, which is there once, becomes the new; then a test must fail."""

    name: str
    path: str
    edits: dict[str, str]
    tests: tuple[str, ...]

    def apply(self, folder: Path) -> None:
        """Put it into a tree. Raises ValueError if the module has changed."""
        text = (folder / self.path).read_text()
        for old, new in self.edits.items():
            if text.count(old) != 1:
                raise ValueError(f"{self.name}: {self.path} has changed, write the mutant anew")
            text = text.replace(old, new)
        (folder / self.path).write_text(text)


MUTANTS = (
    Mutant(
        "an adaptation's cross-validation sees its own rows",
        "nmtune/heads/adaptation.py",
        {"some = rows.take(learnt)\n        strengths": "some = rows\n        strengths"},
        ("tests/nmtune/heads/test_adaptation.py",),
    ),
    Mutant(
        "class shares are corrected the wrong way",
        "nmtune/heads/class_shares.py",
        {"np.log(shares) - np.log(learnt)": "np.log(learnt) - np.log(shares)"},
        ("tests/nmtune/heads/test_class_shares.py",),
    ),
    Mutant(
        "one door forgets the class shares of an alias",
        "service/predict/predictor.py",
        {
            "shares = serving.version.class_shares if class_shares is None else class_shares": (
                "shares = class_shares"
            )
        },
        ("tests/service/predict/test_class_shares.py",),
    ),
    Mutant(
        "the later batches of a prediction forget the class shares of an alias",
        "clients/python/nmtune_client/_predict/batches.py",
        {"replace(self._options, class_shares=shares)": "self._options"},
        ("tests/clients/test_client_batches.py",),
    ),
    Mutant(
        "the fence is not compared",
        "store/leases.py",
        {"        _jobs.fence == job.fence,\n": ""},
        ("tests/store/test_lost_leases.py",),
    ),
    Mutant(
        "the bell is rung before the commit",
        "service/jobs/submission.py",
        {
            "answer = once(store, tenant_id, key, record)": (
                "answer = once(store, tenant_id, key, lambda tx: _rung(queue, record, tx, to))"
            ),
            "_ring(queue, answer.id, to)": "pass",
            "def _ring(queue: Queue": (
                "def _rung(queue, record, tx, to):\n"
                "    response = record(tx)\n"
                "    _ring(queue, Answer(response=response, is_replay=False).id, to)\n"
                "    return response\n\n\n"
                "def _ring(queue: Queue"
            ),
        },
        ("tests/service/jobs/test_doorbell.py",),
    ),
    Mutant(
        "an artifact is not synced",
        "store/bytes/local.py",
        {
            '    failpoints.reach("artifact.written")\n    os.fsync(file.fileno())\n': (
                '    failpoints.reach("artifact.written")\n'
            )
        },
        ("tests/store/bytes/test_local.py",),
    ),
    Mutant(
        "a lease lives on in its last moment",
        "store/leases.py",
        {"and_(ends > now()": "and_(ends >= now()"},
        ("tests/store/test_lost_leases.py",),
    ),
    Mutant(
        "the heartbeat's answer is ignored",
        "workers/attempt/lease.py",
        {"if is_cancelled and self._ending is None:": "if not self._job:"},
        ("tests/workers/attempt/test_lease.py",),
    ),
    Mutant(
        "a job is found whoever owns it",
        "store/jobs.py",
        {"where(_jobs.tenant_id == tenant_id, _jobs.id == job_id)": ("where(_jobs.id == job_id)")},
        ("tests/store/test_tenants.py",),
    ),
    Mutant(
        "NaN in a body of JSON lists is taken",
        "service/ingest/dataset/inline.py",
        {"    if not np.isfinite(x).all():  # rare": "    if not x.size:  # rare"},
        ("tests/service/ingest/test_inline.py",),
    ),
    Mutant(
        "a provider is waited for without end",
        "providers/http/exchange.py",
        {"sockets.deadline(seconds)": "sockets.deadline(1e9)"},
        ("tests/providers/test_embedder.py",),
    ),
    Mutant(
        "redirects of a provider are followed",
        "providers/http/exchange.py",
        {
            "        return Answer(response.status, bytes(body), headers)": (
                '        if "location" in headers:\n'
                '            return self.post(headers["location"], {}, headers={}, seconds=5)\n'
                "        return Answer(response.status, bytes(body), headers)"
            )
        },
        ("tests/providers/test_embedder.py",),
    ),
    Mutant(
        "a replay of a webhook counts against its health",
        "store/webhooks/sending.py",
        {"    if claimed.kind is DeliveryKind.EVENT:\n": "    if claimed:\n"},
        ("tests/store/webhooks/test_sending.py",),
    ),
    Mutant(
        "redirects of a receiver are taken for success",
        "store/webhooks/sending.py",
        {"200 <= self.status < 300": "200 <= self.status < 400"},
        ("tests/store/webhooks/test_sending.py",),
    ),
    Mutant(
        "the address of a receiver is looked up again after the check",
        "outbound/sockets.py",
        {
            "self.check(host, port)[0],": "self.check(host, port) and host,",
        },
        ("tests/providers/test_sockets.py",),
    ),
    Mutant(
        "a label may be a thousand times longer",
        "service/ingest/limits.py",
        {"MAX_LABEL_CHARACTERS: Final = 200\n": "MAX_LABEL_CHARACTERS: Final = 200_000\n"},
        ("tests/service/ingest/test_inline.py", "tests/service/datasets/test_datasets.py"),
    ),
    Mutant(
        "an idempotency key is of all tenants",
        "store/idempotency.py",
        {
            "            _keys.tenant_id == tenant_id, _keys.key == key\n": (
                "            _keys.key == key\n"
            )
        },
        ("tests/store/test_idempotency.py",),
    ),
    Mutant(
        "the sweep does nothing",
        "workers/slots/sweep.py",
        {"result = transitions.sweep(tx, leases=leases)": "result = SweepResult()"},
        ("tests/workers/slots/test_sweep.py",),
    ),
    Mutant(
        "access: a scope is not checked",
        "service/http/scopes.py",
        {"if needed not in identity.scopes:": "if not identity.scopes:"},
        ("tests/service/access/test_scopes.py",),
    ),
    Mutant(
        "access: a key is found whoever owns it",
        "store/access/keys.py",
        {
            "_select().where(_keys.tenant_id == tenant_id, _keys.id == key_id)": (
                "_select().where(_keys.id == key_id)"
            )
        },
        ("tests/store/access/test_keys.py",),
    ),
    Mutant(
        "access: an expired key is let in",
        "service/access/known_keys.py",
        {"if not found.key.is_active(now) or found.tenant_disabled:": "if found.tenant_disabled:"},
        ("tests/service/access/test_refusals.py",),
    ),
    Mutant(
        "access: a known key stays good",
        "service/access/known_keys.py",
        {
            "self._key_changes.get(known.identity.tenant_id) == known.key_changes\n": (
                "known.key_changes >= 0\n"
            )
        },
        ("tests/service/access/test_known_keys.py",),
    ),
    Mutant(
        "access: every key predicts with every head",
        "service/http/identity.py",
        {"if identity.heads is not None and": "if identity.heads == set() and"},
        ("tests/service/access/test_scopes.py",),
    ),
)


def run(folder: Path, tests: Iterable[str]) -> tuple[int, str]:
    """pytest's exit status and output."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "--timeout", "120"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *tests],
        cwd=folder,
        env=os.environ | {"CI": "true", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def killer(folder: Path, mutant: Mutant) -> str | None:
    """The test that fails with the mutant in place; None if none does."""
    path = folder / mutant.path
    sound = path.read_text()
    mutant.apply(folder)
    try:
        status, output = run(folder, mutant.tests)
    finally:
        path.write_text(sound)
    if status == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", output, re.MULTILINE)
    if failed is None or status != 1:
        raise SystemExit(f"{mutant.name}: pytest did not get to its tests:\n{output[-3000:]}")
    return failed[1]


def main(words: list[str]) -> int:
    chosen = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    n_living = 0
    with tempfile.TemporaryDirectory(prefix="nmtune-mutants-") as name:
        folder = Path(name) / "tree"
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT, symlinks=True)
        tests = dict.fromkeys(test for mutant in chosen for test in mutant.tests)
        status, output = run(folder, tests)
        if status != 0:
            raise SystemExit(f"the tests fail without a mutant:\n{output[-3000:]}")
        for mutant in chosen:
            began = time.monotonic()
            killed_by = killer(folder, mutant)
            n_living += killed_by is None
            ending = "LIVES" if killed_by is None else f"killed by {killed_by}"
            print(f"{mutant.name} ({time.monotonic() - began:.0f} s): {ending}", flush=True)
    return 1 if n_living else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
