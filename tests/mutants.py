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
        "a head is published once more in each attempt",
        "store/first_head.py",
        {"if held.head_version is not None or held.cancel": "if held.cancel"},
        ("tests/store/test_first_head.py",),
    ),
    Mutant(
        "a job calls its report complete while the comparison is missing",
        "service/jobs/schemas.py",
        {'"complete" if record.status is JobStatus.SUCCEEDED else "incomplete"': '"complete"'},
        ("tests/service/jobs/test_first_head.py",),
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
        "an act is committed before its row in the audit",
        "service/heads/routes.py",
        {
            "heads.set_alias(tx, tenant_id, name, alias, body.version)\n": (
                "heads.set_alias(tx, tenant_id, name, alias, body.version)\n"
                "    with store.database.begin() as tx:\n"
            )
        },
        ("tests/service/audit/test_every_act.py",),
    ),
    Mutant(
        "a route forgets the audit",
        "service/uploads/routes.py",
        {'audit.note(tx, actor, "upload.created", upload.id, size_bytes=size_bytes)': "pass"},
        ("tests/service/audit/test_every_act.py",),
    ),
    Mutant(
        "the audit keeps a receiver's whole URL",
        "service/webhooks/routes.py",
        {'    return urlsplit(url).hostname or ""': '    return url or ""'},
        ("tests/service/audit/test_every_act.py",),
    ),
    Mutant(
        "a deletion of a tenant forgets the bytes",
        "store/tenant_deletion.py",
        {"    store.artifacts.delete(tenant_id, sha256)\n": ""},
        ("tests/store/test_tenant_deletion.py",),
    ),
    Mutant(
        "a deletion of a tenant forgets a table",
        "store/tenant_deletion.py",
        {'if "tenant_id" in one.c]': 'if "tenant_id" in one.c and one.name != "encoders"]'},
        ("tests/store/test_tenant_deletion.py",),
    ),
    Mutant(
        "a deletion of a tenant does not wait for who is acting",
        "store/tenant_deletion.py",
        {
            ".where(_tenants.tenant_id == tenant_id).with_for_update()": (
                ".where(_tenants.tenant_id == tenant_id)"
            )
        },
        ("tests/store/test_tenant_deletion.py",),
    ),
    Mutant(
        "a new tenant begins where the deleted one of its name did",
        "store/access/tenants.py",
        {"key_changes=secrets.randbelow(_ANYWHERE)": "key_changes=0"},
        ("tests/service/access/test_known_keys.py",),
    ),
    Mutant(
        "two sweepers both tell of a key",
        "store/access/keys.py",
        {"_keys.id == key_id, *_ends_untold()": "_keys.id == key_id"},
        ("tests/store/access/test_expiring_keys.py",),
    ),
    Mutant(
        "two processes both tell of drift",
        "store/drift.py",
        {"if state == before.state or": "if"},
        ("tests/service/predict/test_drift_news.py",),
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
        "limits: a quota is checked without a lock",
        "store/access/quotas.py",
        {"tx.execute(row.with_for_update(key_share=True))": "tx.execute(row)"},
        ("tests/store/access/test_usage.py",),
    ),
    Mutant(
        "limits: rows after the first cost nothing",
        "service/predict/door.py",
        {"if n_rows > 1:": "if n_rows < 0:"},
        ("tests/service/limits/test_rates.py",),
    ),
    Mutant(
        "limits: what was counted is lost at the end",
        "service/limits/limiter.py",
        {"            self._try()\n        self._try()\n": "            self._try()\n"},
        ("tests/service/limits/test_quotas.py",),
    ),
    Mutant(
        "limits: heads that will be do not count",
        "store/access/quotas.py",
        {"names = union(there, coming).subquery()": "names = union(there, there).subquery()"},
        ("tests/service/limits/test_quotas.py",),
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
    Mutant(
        "TLS: an unfinished handshake counts as busy",
        "service/listen/acceptor.py",
        {"        oldest = next(iter(self._begun), None)\n": "        oldest = None\n"},
        ("tests/service/listen/test_tls.py",),
    ),
    Mutant(
        "TLS: an idle connection may take its time to say farewell",
        "service/listen/protocol.py",
        {
            "            self.transport.abort()\n        else:\n": (
                "            self.transport.close()\n        else:\n"
            )
        },
        ("tests/service/listen/test_tls.py",),
    ),
    Mutant(
        "TLS: the end waits for idle clients",
        "service/server.py",
        {"        if self._certificate is not None:  #": "        if False:  #"},
        ("tests/service/listen/test_tls.py",),
    ),
    Mutant(
        "TLS: a handshake may take as long as it likes",
        "service/listen/acceptor.py",
        {"asyncio.timeout(self._handshake_seconds)": "asyncio.timeout(None)"},
        ("tests/service/listen/test_tls.py",),
    ),
    Mutant(
        "sign-in: the state is not compared",
        "service/access/sign_in.py",
        {"return hmac.compare_digest(state.encode(), self.state.encode())": "return True"},
        ("tests/service/access/test_openid_lies.py",),
    ),
    Mutant(
        "sign-in: the nonce is not compared",
        "service/access/openid_token.py",
        {
            '"aud": client_id, "nonce": nonce}': '"aud": client_id}',
            '{"nonce": nonce, "client_id"': '{"client_id"',
        },
        ("tests/service/access/test_openid_lies.py",),
    ),
    Mutant(
        "sign-in: the audience is not compared",
        "service/access/openid_token.py",
        {'"iss": issuer, "aud": client_id,': '"iss": issuer,'},
        ("tests/service/access/test_openid_lies.py",),
    ),
    Mutant(
        "sign-in: one verifier for all",
        "service/access/sign_in.py",
        {'return self._derived("verifier")': 'return "v" * 43'},
        ("tests/service/access/test_openid_lies.py",),
    ),
    Mutant(
        "sign-in: the provider chooses the algorithm",
        "service/access/openid_token.py",
        {"algorithms=list(ALGORITHMS)": 'algorithms=["RS256", "PS256", "ES256", "RS512"]'},
        ("tests/service/access/test_openid_lies.py",),
    ),
    Mutant(
        "sign-in: a session outlives its provider",
        "service/access/layer.py",
        {"return self.openid is not None and self.openid.vouches_for": "return bool"},
        ("tests/service/access/test_openid_lies.py",),
    ),
    Mutant(
        "sign-in: metadata may lead anywhere",
        "service/access/openid.py",
        {'place.scheme == "https" or is_issuers': "place.scheme"},
        ("tests/service/access/test_openid_lies.py",),
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
