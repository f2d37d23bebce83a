"""Accounts: people, clinics and roles."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "pneumoweb.accounts"
    label = "accounts"
    verbose_name = "People and clinics"

    def ready(self) -> None:
        from pneumoweb.accounts.roles import create_role_groups  # models load after the app's configuration

        post_migrate.connect(create_role_groups, sender=self)
