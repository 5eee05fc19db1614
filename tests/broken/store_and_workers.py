"""Ways to break the store, the workers, and what sends and calls out."""

from tests.broken.mutant import Mutant

MUTANTS = (
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
        "a deletion of a tenant forgets the bytes",
        "store/tenant_deletion.py",
        {"if store.artifacts.delete(tenant_id, one.sha256, unless_put_after=began)": ""},
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
        "limits: heads that will be do not count",
        "store/access/quotas.py",
        {"names = union(there, coming).subquery()": "names = union(there, there).subquery()"},
        ("tests/service/limits/test_quotas.py",),
    ),
)
