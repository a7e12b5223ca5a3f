"""A worker of Celery whose task fails; `python -m examples.crashes.celery_app` asks for it."""

import os
from pathlib import Path

from celery import Celery

from envoi import Mailer
from envoi.integrations.celery import report_failures

FOLDER = Path(os.environ.get("CELERY_FOLDER", "celery")).absolute()
for name in ("queue", "done"):
    (FOLDER / name).mkdir(parents=True, exist_ok=True)

app = Celery("crashes", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER / "queue"),
    "data_folder_out": str(FOLDER / "queue"),
    "processed_folder": str(FOLDER / "done"),
    "store_processed": True,
}

mailer = Mailer.from_file()
report_failures(mailer, release="1.0")


@app.task(name="reports.weekly")
def weekly(page: str, **_options: str) -> int:
    """Fail."""
    pages_left: dict[str, int] = {}
    return pages_left[page]


if __name__ == "__main__":
    weekly.delay("start", token="not for a mail")
