"""`nmtune-server keys`, `sessions` and `tenants`: the operator's acts on the server's machine.

A new key is the only thing on standard output, for `KEY=$(nmtune-server keys create ...)`; it is in
no log and in no list of processes.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from service.settings import ServiceSettings
from standalone.process import open_store
from standalone.times import DEFAULT, NEVER
from store import tenant_deletion
from store.access import audit, keys, sessions, tenants
from store.access.keys import ApiKey, NewKey
from store.database.clock import read_clock
from store.names import is_permanent
from store.store import Store
from store.tenant_deletion import Belongings

OPERATOR: Final = "operator"
NOT_CONFIRMED: Final = 2
"""The exit status of a deletion that was not confirmed, so that no script takes it for done."""


def run(settings: ServiceSettings, given: argparse.Namespace) -> int:
    """Run one action; its exit status. Raises StoreError."""
    given.settings = settings
    with open_store(settings, writes_alone=given.action == "list") as store:
        return _ACTIONS[given.command, given.action](store, given) or 0


def _create_key(store: Store, given: argparse.Namespace) -> None:
    with store.database.begin() as tx:
        actor = audit.operator(tenants.named_or_sole(tx, given.tenant))
        made = keys.create(
            tx,
            actor.tenant_id,
            name=given.name,
            scopes=given.scopes,
            heads=given.heads,
            keep_seconds=given.expires,
            created_by=OPERATOR,
        )
        audit.note(tx, actor, "key.made", made.key.id, name=given.name, scopes=given.scopes)
    _show_once(made)


def _rotate_key(store: Store, given: argparse.Namespace) -> None:
    with store.database.begin() as tx:
        tenant = tenants.named_or_sole(tx, given.tenant)
        made = keys.rotate(tx, tenant, given.id, overlap_seconds=given.overlap, created_by=OPERATOR)
        old = keys.get(tx, tenant, given.id)
        audit.note(
            tx,
            audit.operator(tenant),
            "key.rotated",
            given.id,
            successor_id=made.key.id,
            overlap_seconds=given.overlap,
        )
    _show_once(made)
    print(f"The old one ends {_day(old.expires_at)}.", file=sys.stderr)


def _list_keys(store: Store, given: argparse.Namespace) -> None:
    with store.database.read() as tx:
        tenant, at = tenants.named_or_sole(tx, given.tenant), read_clock(tx)
        found: list[ApiKey] = []
        cursor = None
        while True:
            page = keys.page(tx, tenant, limit=1000, cursor=cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
    if not found:
        print(f"The tenant {tenant} has no keys: nmtune-server keys create NAME --scopes admin")
    for key in found:
        print(_line(key, at))


def _revoke_key(store: Store, given: argparse.Namespace) -> None:
    with store.database.begin() as tx:
        tenant = tenants.named_or_sole(tx, given.tenant)
        before = keys.get(tx, tenant, given.id)
        key = keys.revoke(tx, tenant, given.id, force=given.force)
        audit.note(
            tx,
            audit.operator(tenant),
            "key.revoked",
            given.id,
            outcome=audit.UNCHANGED if key == before else audit.DONE,
            name=key.name,
            forced=given.force,
        )
    print(f"The key {key.name} is revoked; running servers refuse it within a second.")


def _list_sessions(store: Store, given: argparse.Namespace) -> None:
    with store.database.read() as tx:
        for one in sessions.listed(tx, tenants.named_or_sole(tx, given.tenant)):
            print(f"{one.by}  since {_day(one.created_at)}  seen {_day(one.seen_at)}")


def _end_sessions(store: Store, given: argparse.Namespace) -> None:
    with store.database.begin() as tx:
        tenant = tenants.named_or_sole(tx, given.tenant)
        n = sessions.end_all(tx, tenant, by=given.by)
        audit.note(tx, audit.operator(tenant), "sessions.ended", given.by or "all", sessions=n)
    print(f"{n} ended; the next request of their browsers leads to the login.")


def _create_tenant(store: Store, given: argparse.Namespace) -> None:
    with store.database.begin() as tx:
        tenants.create(tx, given.name)
        audit.note(tx, audit.operator(given.name), "tenant.created", given.name)
    print(
        f"The tenant {given.name} is there. Its first key: nmtune-server keys create NAME "
        f"--scopes admin --tenant {given.name}"
    )


def _list_tenants(store: Store, given: argparse.Namespace) -> None:  # noqa: ARG001  one shape
    with store.database.read() as tx:
        for one in tenants.everyone(tx):
            state = f"disabled {_day(one.disabled_at)}" if one.disabled_at else "enabled"
            print(f"{one.tenant_id}  {state}")


def _disable_tenant(store: Store, given: argparse.Namespace) -> None:
    with store.database.begin() as tx:
        tenants.set_disabled(tx, given.name, disabled=True)
        audit.note(tx, audit.operator(given.name), "tenant.disabled", given.name)
    print(f"The tenant {given.name} is shut out within a second; its data are kept.")


def _enable_tenant(store: Store, given: argparse.Namespace) -> None:
    with store.database.begin() as tx:
        tenants.set_disabled(tx, given.name, disabled=False)
        audit.note(tx, audit.operator(given.name), "tenant.enabled", given.name)
    print(f"The tenant {given.name} is let in again.")


def _delete_tenant(store: Store, given: argparse.Namespace) -> int:
    name = given.name
    if not given.yes:
        _say_what("has", name, tenant_deletion.belongings(store, name))
        print(
            "Nothing was deleted. To delete all of it for good, and end its running jobs: "
            f"nmtune-server tenants delete {name} --yes"
        )
        return NOT_CONFIRMED
    _say_what("had", name, tenant_deletion.delete_tenant(store, name))
    if is_permanent(name):
        print(
            f"All of it is deleted. The tenant {name} itself stays: servers without keys need it."
        )
    else:
        print(f"All of it is deleted, and so is the tenant {name}.")
    return 0


def _say_what(verb: str, tenant: str, found: Belongings) -> None:
    print(f"The tenant {tenant} {verb}:")
    for table, n in found.rows.items():
        print(f"  {n:>12,}  {table}")
    print(f"  {found.n_artifacts:>12,}  stored files, {found.n_bytes:,} bytes")


def _limits(store: Store, given: argparse.Namespace) -> None:
    """Set what was given, then show all limits and who says them."""
    changes: dict[str, float | None] = {}
    forget = []
    for name, value in given.set or ():
        if value == DEFAULT:
            forget.append(name)
        else:
            changes[name] = value
    if changes or forget:
        with store.database.begin() as tx:
            tenants.set_limits(tx, given.name, changes, forget=forget)
            audit.note(
                tx,
                audit.operator(given.name),
                "tenant.limited",
                given.name,
                changed=sorted([*(f"{name}={value}" for name, value in changes.items()), *forget]),
            )
    with store.database.read() as tx:
        own = tenants.get(tx, given.name).limits
    settings = given.settings.limits
    for name, value in vars(settings.overridden(own)).items():
        shown = "none" if value is None else f"{value:,}"
        print(f"{name}  {shown}  {'of this tenant' if name in own else 'of the settings'}")
    if changes or forget:
        print("Running servers follow: quotas at once, rates within seconds.", file=sys.stderr)


_ACTIONS: Final[Mapping[tuple[str, str], Callable[[Store, argparse.Namespace], int | None]]] = {
    ("keys", "create"): _create_key,
    ("keys", "list"): _list_keys,
    ("keys", "revoke"): _revoke_key,
    ("keys", "rotate"): _rotate_key,
    ("sessions", "end"): _end_sessions,
    ("sessions", "list"): _list_sessions,
    ("tenants", "create"): _create_tenant,
    ("tenants", "list"): _list_tenants,
    ("tenants", "disable"): _disable_tenant,
    ("tenants", "enable"): _enable_tenant,
    ("tenants", "delete"): _delete_tenant,
    ("tenants", "limits"): _limits,
}


def _show_once(made: NewKey) -> None:
    key = made.key
    print(made.secret)
    print(
        f"This is the key {key.name} ({key.id}) of the tenant {key.tenant_id}, for "
        f"{', '.join(key.scopes)}; it ends {_day(key.expires_at)}. Keep it now: it cannot be shown "
        "again.",
        file=sys.stderr,
    )


def _line(key: ApiKey, at: datetime) -> str:
    ends = "never ends" if key.expires_at is None else f"ends {_day(key.expires_at)}"
    if key.revoked_at is not None:
        ends = f"revoked {_day(key.revoked_at)}"
    elif not key.is_active(at):
        ends = f"ended {_day(key.expires_at)}"
    only = f" only {','.join(key.heads)}" if key.heads else ""
    used = "never used" if key.last_used_at is None else f"used {_day(key.last_used_at)}"
    return f"{key.id}  {key.name}  nmk_...{key.last4}  {','.join(key.scopes)}{only}  {ends}  {used}"


def _day(moment: datetime | None) -> str:
    return NEVER if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
