"""`manage.py create_demo`: demo clinics, one account a role, invented patients with synthetic films."""

from typing import Any

from django.core.management import BaseCommand

from diagnosis import demo


class Command(BaseCommand):
    help = "Create the demo clinics, accounts, patients and films that are not there yet, and print the accounts."

    def handle(self, **options: Any) -> None:
        for account in demo.create():
            self.stdout.write(f"{account.email}\t{account.password}\t{account.role}")
