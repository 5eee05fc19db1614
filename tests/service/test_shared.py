"""What forked processes have in common: the link, the guesses, the share of connections."""

import os
from collections.abc import Callable

from service.access.guesses import A_MINUTE, Guesses
from service.access.login_links import LoginLinks
from service.listen.shares import Shares
from service.settings import MOST_PROCESSES_A_CORE, ServiceSettings


def in_a_fork(look: Callable[[], bool]) -> bool:
    """What `look` returns in a forked process."""
    pid = os.fork()
    if pid == 0:
        os._exit(int(not look()))
    return os.waitpid(pid, 0)[1] == 0


def test_a_link_is_good_once_in_all_processes() -> None:
    links = LoginLinks()
    code, other = links.new_code(), links.new_code()
    assert in_a_fork(lambda: links.use(code))
    assert not in_a_fork(lambda: links.use(code))
    assert not links.use(code)
    assert links.use(other)


def test_guesses_are_counted_over_all_processes() -> None:
    guesses = Guesses()
    for _ in range(A_MINUTE):
        assert guesses.seconds_to_wait("10.0.0.1") == 0
        assert in_a_fork(lambda: guesses.note_wrong("10.0.0.1") is None)  # type: ignore[func-returns-value]
    assert guesses.seconds_to_wait("10.0.0.1") > 0
    assert guesses.seconds_to_wait("10.0.0.2") == 0


def test_the_process_with_the_fewest_connections_is_next_and_nobody_waits_for_a_dead_one() -> None:
    shares = Shares(3)
    one, two, three = (shares.of(number) for number in range(3))
    one.note(2)
    assert one.is_least(), "the others do not listen yet"
    two.note(1)
    three.note(2)
    assert [share.is_least() for share in (one, two, three)] == [False, True, False]
    two.note_dead()
    assert [share.is_least() for share in (one, two, three)] == [True, False, True]


def test_processes_have_parts_of_the_limits() -> None:
    n = MOST_PROCESSES_A_CORE
    whole = ServiceSettings(processes=n, threads=16, predict_queue=100, predict_body_bytes=4096)
    part = whole.of_one_process()
    assert (part.threads, part.predict_queue, part.predict_body_bytes) == (4, 25, 1024)
    assert part.max_connections == whole.max_connections // n
    assert part.database_pool_size == whole.database_pool_size // n
    assert part.predict_threads >= 1
    assert part.head_cache_bytes == whole.head_cache_bytes
    alone = ServiceSettings()
    assert alone.of_one_process() is alone
