"""`nmtune-server audit`: who did what in a tenant, as JSON lines, newest first."""

import argparse
import json
import sys
from dataclasses import asdict

from standalone.process import open_store
from store.access import audit, tenants
from store.database.cursors import MAX_LIMIT
from store.settings import StoreSettings


def run(settings: StoreSettings, given: argparse.Namespace) -> None:
    """Print the tenant's audit. Raises StoreError."""
    with open_store(settings, writes_alone=True) as store:
        with store.database.read() as tx:
            tenant_id = tenants.named_or_sole(tx, given.tenant)
        cursor = None
        while True:
            with store.database.read() as tx:
                page = audit.page(tx, tenant_id, limit=MAX_LIMIT, cursor=cursor)
            for entry in page.items:
                told = asdict(entry) | {"at": entry.at.isoformat()}
                print(json.dumps(told, ensure_ascii=False))
            cursor = page.next_cursor
            if cursor is None:
                sys.stdout.flush()
                return
