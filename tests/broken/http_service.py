"""Ways to break the HTTP service and its commands."""

from tests.broken.mutant import Mutant

MUTANTS = (
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
        "NaN in a body of JSON lists is taken",
        "service/ingest/dataset/inline.py",
        {"    if not np.isfinite(x).all():  # rare": "    if not x.size:  # rare"},
        ("tests/service/ingest/test_inline.py",),
    ),
    Mutant(
        "an act is committed before its row in the audit",
        "service/heads/routes.py",
        {
            '        sets_shares = "class_shares"': (
                '    with store.database.begin() as tx:\n        sets_shares = "class_shares"'
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
        "a label may be a thousand times longer",
        "service/ingest/limits.py",
        {"MAX_LABEL_CHARACTERS: Final = 200\n": "MAX_LABEL_CHARACTERS: Final = 200_000\n"},
        ("tests/service/ingest/test_inline.py", "tests/service/datasets/test_datasets.py"),
    ),
    Mutant(
        "access: a scope is not checked",
        "service/http/scopes.py",
        {"if needed not in identity.scopes:": "if not identity.scopes:"},
        ("tests/service/access/test_scopes.py",),
    ),
    Mutant(
        "limits: rows after the first cost nothing",
        "service/limits/meter.py",
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
        "service/access/who.py",
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
