"""The smallest program: something happened, and the right people hear of it."""

from envoi import Event, Mailer

mailer = Mailer.from_file("envoi.toml")
receipt = mailer.notify(
    Event(
        kind="message",
        people={"recipients": ("ann",)},
        facts={"title": "The wiki moves on Sunday", "body": "From 8 to 10 it is read-only."},
    )
)
print(receipt.stored, receipt.deliveries)
mailer.close()
