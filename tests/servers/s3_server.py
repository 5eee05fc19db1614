"""Run moto, an S3 server by others, as a process of its own.

`python tests/servers/s3_server.py` serves on a free port of the loopback, says which on its first
line, and ends when its standard input does.
"""

import logging
import sys
import threading

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server


def main() -> None:
    logging.disable()
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)  # noqa: T201  this is what it is asked for
    sys.stdin.read()  # an end of file: whoever started us has ended, in whatever way


if __name__ == "__main__":
    main()
