"""The Celery application that senders of rings and workers share."""

from typing import Any, Final

from celery import Celery

TASK: Final = "nmtune.run_job"
"""The only task; its argument is a job's id."""

EXPIRES_SECONDS: Final = 600
"""After this a ring that nobody took is dropped; the row is still `queued` and rings again."""

# A frozen broker must not block a thread for longer.
_TRANSPORT: Final[dict[str, Any]] = {
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "visibility_timeout": 300,
}


def make_app(broker_url: str) -> Celery:
    """An application on this broker; nothing is connected yet.

    Messages are acknowledged when a slot takes them and have no result: only its row says whether a
    job is done, so that a message that is lost, doubled or late does no harm.
    """
    app = Celery("nmtune", broker=broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue="cpu",
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options=_TRANSPORT,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
    )
    return app
