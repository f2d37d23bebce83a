"""Nobody signs up by themselves: administrators create users. Their mails, and what is said where none can be sent."""

import logging
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from django.http import HttpRequest
from django.shortcuts import render

log = logging.getLogger(__name__)


class ClosedDoor(DefaultAccountAdapter):
    """allauth without open registration."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def format_email_subject(self, subject: str) -> str:
        """The subject as the template has it, without the address of the site before it."""
        return subject

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send, or answer 503: whether the address has an account or not, so that the answer does not tell."""
        try:
            super().send_mail(template_prefix, email, context)
        except (SMTPException, OSError) as error:
            log.exception("no mail could be sent")
            why = "The mail could not be sent: the mail server does not answer, or does not take it."
            raise ImmediateHttpResponse(render(self.request, "503.html", {"why": why}, status=503)) from error
