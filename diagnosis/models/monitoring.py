"""What monitoring remembers of the site itself."""

from __future__ import annotations

from django.db import models


class WorkerSign(models.Model):
    """When a machine's workers last showed that they take work. One row a machine."""

    host = models.CharField(max_length=253, unique=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.host} at {self.at:%d %b %Y %H:%M}"
