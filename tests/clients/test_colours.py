"""The two clients have one surface: the same methods, with the same arguments."""

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_origin, get_type_hints

import pytest
from nmtune_client import AsyncClient, AsyncJob, Client, Job
from nmtune_client._async.heads import AsyncHeads
from nmtune_client._async.resources import AsyncDatasets, AsyncJobs
from nmtune_client._http.wire import AsyncSender, Sender
from nmtune_client._provider_keys import AsyncProviderKeys, ProviderKeys
from nmtune_client._sync.heads import Heads
from nmtune_client._sync.resources import Datasets, Jobs

TWINS = [
    (Client, AsyncClient),
    (Datasets, AsyncDatasets),
    (Jobs, AsyncJobs),
    (Heads, AsyncHeads),
    (ProviderKeys, AsyncProviderKeys),
    (Job, AsyncJob),
    (Sender, AsyncSender),
]


def surface(cls: type) -> dict[str, Any]:
    """What a user sees of a class: its public members, the inherited ones too."""
    return {name: value for name, value in inspect.getmembers(cls) if not name.startswith("_")}


def arguments(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in parameters]


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda cls: cls.__name__)
def test_both_have_the_same_methods_and_arguments(sync: type, twin: type) -> None:
    ours, theirs = surface(sync), surface(twin)
    assert sorted(ours) == sorted(theirs)
    for name, member in ours.items():
        if callable(member):
            assert arguments(member) == arguments(theirs[name]), name
        else:
            assert member is theirs[name], name
    assert arguments(sync) == arguments(twin)


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda cls: cls.__name__)
def test_what_waits_is_awaited_and_what_iterates_is_iterated(sync: type, twin: type) -> None:
    for name, member in surface(sync).items():
        if not callable(member) or name == "open_stream":
            continue
        found = getattr(twin, name)
        if get_origin(get_type_hints(member)["return"]) is Iterator:
            assert get_origin(get_type_hints(found)["return"]) is AsyncIterator, name
        else:
            assert inspect.iscoroutinefunction(found), name


def test_an_instance_has_the_same_parts() -> None:
    with Client("http://127.0.0.1:9") as client:
        other = AsyncClient("http://127.0.0.1:9")
        assert {name for name in vars(client) if not name.startswith("_")} == {
            name for name in vars(other) if not name.startswith("_")
        }
