from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "pneumoweb.accounts"
    label = "accounts"
    verbose_name = "People and clinics"
