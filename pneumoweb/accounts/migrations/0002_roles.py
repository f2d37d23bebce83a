"""The groups of roles were created here; since 0.2 they are created after every migration (accounts.apps)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations: list[object] = []
