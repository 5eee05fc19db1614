"""How a waiting worker hears of a new job: a Celery message, or a look at the rows."""
