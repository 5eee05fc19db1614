"""How the containers are kept: users, file systems, rights, networks, ports, passwords."""

import pytest

from tests.compose.stack import SERVICES, Stack, compose, docker, inspect

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_rights_it_does_not_need(stack: Stack, service: str) -> None:
    for container in stack.containers(service):
        host = inspect(container)["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert not host["Privileged"]
        assert host["Memory"] > 0
        assert host["PidsLimit"] > 0
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert docker("exec", container, "id", "-u").strip() != "0"
        refused = docker("exec", container, "sh", "-c", "touch /x /etc/x 2>&1 || true")
        assert refused.count("Read-only file system") == 2


def test_only_the_proxy_is_published_and_only_on_this_machine(stack: Stack) -> None:
    published = {
        (service, binding["HostIp"], int(binding["HostPort"]))
        for service in (*SERVICES, "migrate")
        for container in stack.containers(service)
        for bindings in inspect(container)["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }
    assert published == {("proxy", "127.0.0.1", stack.port)}


def test_the_proxy_does_not_see_the_database_and_no_store_has_a_way_out(stack: Stack) -> None:
    networks = {
        service: {
            name.removeprefix(f"{stack.project}_")
            for name in inspect(stack.containers(service)[0])["NetworkSettings"]["Networks"]
        }
        for service in SERVICES
    }
    assert networks == {
        "proxy": {"public", "web"},
        "api": {"web", "data", "out"},
        "worker": {"data", "out"},
        "postgres": {"data"},
        "redis": {"data"},
    }
    internal = docker(
        "network", "ls", "-q", "--filter", f"label=com.docker.compose.project={stack.project}"
    )
    kinds = {
        docker("network", "inspect", "-f", "{{.Name}} {{.Internal}}", network).strip()
        for network in internal.split()
    }
    assert kinds == {
        f"{stack.project}_{name}" for name in ("public false", "out false", "web true", "data true")
    }


def test_redis_answers_nobody_without_the_password(stack: Stack) -> None:
    [redis] = stack.containers("redis")
    assert "NOAUTH" in docker("exec", redis, "redis-cli", "ping")


def test_the_migration_ran_once_and_ended_well(stack: Stack) -> None:
    [migrate] = stack.containers("migrate")
    state = inspect(migrate)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)


@pytest.mark.parametrize("missing", ["POSTGRES_PASSWORD", "REDIS_PASSWORD"])
def test_without_a_password_nothing_starts(missing: str) -> None:
    given = {"POSTGRES_PASSWORD": "a", "REDIS_PASSWORD": "b"} | {missing: ""}
    with pytest.raises(AssertionError, match=f"{missing}.*make compose-env"):
        compose(["--env-file", "/dev/null", "config", "-q"], env=given)
