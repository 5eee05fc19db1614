"""Run a command line of `nmtune`, and return its exit code."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from nmtune_client._cli.grammar import make_parser
from nmtune_client._cli.shared.output import say
from nmtune_client._cli.shared.words import for_command_line
from nmtune_client._http.errors import APIConnectionError, ConnectionSetupError, NMTuneError
from nmtune_client._jobs.errors import WaitTimeout
from nmtune_client._sync.client import Client

OK = 0
FAILED = 1  # the job failed or was cancelled, or the server refused
USAGE = 2  # argparse's own code; also a file or a value that cannot be right
UNREACHABLE = 3
STILL_RUNNING = 4  # --timeout ran out before the job
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (the process's own if None); returns the exit code."""
    arguments = make_parser().parse_args(argv)
    try:
        with Client(arguments.url) as client:
            arguments.command(client, arguments)
            sys.stdout.flush()
    except WaitTimeout as error:
        return _failed(error, STILL_RUNNING)
    except ConnectionSetupError as error:
        return _failed(error, USAGE)
    except APIConnectionError as error:
        return _failed(error, UNREACHABLE)
    except NMTuneError as error:
        return _failed(for_command_line(str(error), arguments), FAILED)
    except BrokenPipeError:
        # `nmtune ... | head`: the reader has had enough; nothing may be written at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (ValueError, OSError) as error:
        return _failed(error, USAGE)
    except KeyboardInterrupt:
        say("\nInterrupted.")
        return INTERRUPTED
    return OK


def _failed(error: Exception | str, code: int) -> int:
    with suppress(BrokenPipeError):
        say(f"nmtune: {error}")
    return code


if __name__ == "__main__":
    sys.exit(main())
