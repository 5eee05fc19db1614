"""The two clients have one source and one surface: the same methods, with the same arguments."""

import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import nmtune_client
import pytest
from nmtune_client import AsyncClient, AsyncJob, Client, Job
from nmtune_client._async.datasets import AsyncDatasets
from nmtune_client._async.heads import AsyncHeads
from nmtune_client._async.jobs import AsyncJobs
from nmtune_client._async.provider_keys import AsyncProviderKeys
from nmtune_client._async.sender import AsyncSender
from nmtune_client._async.stored_dataset import AsyncStoredDataset
from nmtune_client._async.webhooks import AsyncWebhooks
from nmtune_client._sync.datasets import Datasets
from nmtune_client._sync.heads import Heads
from nmtune_client._sync.jobs import Jobs
from nmtune_client._sync.provider_keys import ProviderKeys
from nmtune_client._sync.sender import Sender
from nmtune_client._sync.stored_dataset import StoredDataset
from nmtune_client._sync.webhooks import Webhooks

TWINS = [
    (Client, AsyncClient),
    (Datasets, AsyncDatasets),
    (StoredDataset, AsyncStoredDataset),
    (Jobs, AsyncJobs),
    (Heads, AsyncHeads),
    (ProviderKeys, AsyncProviderKeys),
    (Webhooks, AsyncWebhooks),
    (Job, AsyncJob),
    (Sender, AsyncSender),
]


GENERATOR = Path(str(nmtune_client.__file__)).parent.with_name("generate_sync.py")


def test_the_sync_client_is_what_the_async_one_makes_of_it() -> None:
    """A change by hand of `_sync`, or of `_async` without running the script, is shown here."""
    done = subprocess.run([sys.executable, GENERATOR, "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["_async", "_sync"])
def test_a_colour_uses_nothing_of_the_other(module: str) -> None:
    other = {"_async": "_sync", "_sync": "_async"}[module]
    files = sorted((GENERATOR.parent / "nmtune_client" / module).glob("*.py"))
    assert len(files) > 8
    for path in files:
        assert f"nmtune_client.{other}" not in path.read_text(), path.name


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
        if not callable(member) or name == "open_stream" or inspect.ismethod(member):
            continue  # what makes an object, a class method, waits for nothing
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
