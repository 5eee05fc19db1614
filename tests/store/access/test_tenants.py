"""Tenants: made by the operator, shut out and let in again."""

import pytest

from store.access import tenants
from store.errors import Conflict, InvalidName, NotFound, TenantNotNamed
from store.store import Store


def test_what_was_stored_so_far_belongs_to_the_first_tenant(store: Store) -> None:
    with store.database.read() as tx:
        assert tenants.sole(tx).tenant_id == "default"
        assert tenants.sole(tx).disabled_at is None


def test_of_several_tenants_one_must_be_named(store: Store) -> None:
    with store.database.begin() as tx:
        tenants.create(tx, "lab")
        assert [one.tenant_id for one in tenants.everyone(tx)] == ["default", "lab"]
        with pytest.raises(TenantNotNamed, match="default, lab"):
            tenants.sole(tx)


def test_a_name_is_taken_once_and_obeys_the_rule(store: Store) -> None:
    with store.database.begin() as tx:
        with pytest.raises(Conflict):
            tenants.create(tx, "default")
        with pytest.raises(InvalidName):
            tenants.create(tx, "a/b")
        tenants.create(tx, "lab")


def test_a_tenant_is_shut_out_and_let_in(store: Store) -> None:
    with store.database.begin() as tx:
        first = tenants.set_disabled(tx, "default", disabled=True)
    with store.database.begin() as tx:
        again = tenants.set_disabled(tx, "default", disabled=True)
        assert again.disabled_at == first.disabled_at is not None
        assert tenants.set_disabled(tx, "default", disabled=False).disabled_at is None
        with pytest.raises(NotFound):
            tenants.set_disabled(tx, "nobody", disabled=True)
