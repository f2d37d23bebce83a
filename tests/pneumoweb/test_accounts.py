"""People: log in by e-mail, log out, reset a password, profile; nobody signs up."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core import mail
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from pneumoweb.accounts.models import User
from tests.support.factories import PASSWORD, make_user
from tests.support.processes import free_port

pytestmark = pytest.mark.django_db


def log_in(client: Client, email: str, password: str = PASSWORD) -> bool:
    client.post(reverse("account_login"), {"login": email, "password": password})
    return "_auth_user_id" in client.session


def test_log_in_by_email_in_any_case_and_out(client: Client) -> None:
    user = make_user(email="Ada@Clinic.Example")
    assert log_in(client, "ADA@clinic.example")
    client.post(reverse("account_logout"))
    assert client.get(reverse("patients")).status_code == 302
    assert user.email == "ada@clinic.example"


def test_logging_in_leads_where_one_wanted_to_go(client: Client) -> None:
    user = make_user()
    wanted = client.get(reverse("patients"))["Location"]
    response = client.post(wanted, {"login": user.email, "password": PASSWORD, "next": "/patients/"})
    assert response["Location"] == "/patients/"


def test_a_wrong_password_is_refused_and_guessing_is_slowed_down(client: Client) -> None:
    user = make_user()
    assert not log_in(client, user.email, "wrong")
    for _ in range(10):
        log_in(client, user.email, "wrong")
    assert not log_in(client, user.email), "after many wrong guesses even the right password must wait"


def test_nobody_signs_up_alone(client: Client) -> None:
    data = {"email": "new@clinic.example", "password1": PASSWORD, "password2": PASSWORD}
    assert "Accounts are made by administrators" in client.get(reverse("account_signup")).content.decode()
    client.post(reverse("account_signup"), data)
    assert not User.objects.filter(email="new@clinic.example").exists()


def test_reset_a_password_by_mail(client: Client) -> None:
    user = make_user()
    client.post(reverse("account_reset_password"), {"email": user.email})
    link = re.search(r"https?://\S+?(/accounts/password/reset/key/\S+)", str(mail.outbox[0].body))
    assert link
    form = client.get(link[1], follow=True)
    client.post(
        form.redirect_chain[-1][0], {"password1": "another-long-word-3", "password2": "another-long-word-3"}
    )
    assert log_in(client, user.email, "another-long-word-3")


def test_mails_speak_for_this_site(client: Client) -> None:
    user = make_user()
    for email in (user.email, "unknown@clinic.example"):
        client.post(reverse("account_reset_password"), {"email": email})
    known, unknown = mail.outbox
    assert known.subject == "PneumoWeb: choose a new password"
    assert "the link works once, for three days" in str(known.body)
    assert settings.PASSWORD_RESET_TIMEOUT == 3 * 24 * 3600
    assert unknown.subject == "PneumoWeb: no account with this address"
    assert "sign up" not in str(unknown.body)


def test_a_mail_server_that_is_away_is_said_to_everybody_alike(client: Client, settings: Any) -> None:
    make_user(email="known@clinic.example")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    answers = []
    for email in ("known@clinic.example", "unknown@clinic.example"):
        response = client.post(reverse("account_reset_password"), {"email": email})
        answers.append((response.status_code, "The mail could not be sent" in response.content.decode()))
    assert answers == [(503, True)] * 2


def test_a_reset_does_not_tell_who_has_an_account(client: Client) -> None:
    make_user(email="known@clinic.example")
    answers = []
    for email in ("known@clinic.example", "unknown@clinic.example"):
        response = client.post(reverse("account_reset_password"), {"email": email}, follow=True)
        answers.append((response.redirect_chain, response.content.decode().replace(email, "ADDRESS")))
    assert answers[0] == answers[1]


def test_profile_changes_the_name_and_nothing_else(client: Client) -> None:
    user = make_user()
    client.force_login(user)
    client.post(
        reverse("profile"), {"first_name": "Ada", "last_name": "L", "is_staff": "1", "email": "x@y.example"}
    )
    user.refresh_from_db()
    assert (user.first_name, user.is_staff) == ("Ada", False)
    assert user.email != "x@y.example"
    page = client.get(reverse("profile")).content.decode()
    assert str(user.clinic) in page
    assert "clinician" in page


def test_the_roles_exist_from_the_first_migration() -> None:
    assert set(Group.objects.values_list("name", flat=True)) >= {"clinician", "reviewer"}


def test_one_user_an_address_whatever_its_case() -> None:
    make_user(email="ada@clinic.example")
    with pytest.raises(IntegrityError):
        User.objects.create(email="ADA@CLINIC.EXAMPLE")


def test_an_administrator_makes_a_user_with_role_and_clinic(client: Client) -> None:
    administrator = make_user("administrator")
    client.force_login(administrator)
    response = client.post(
        "/admin/accounts/user/add/",
        {
            "email": "new@clinic.example",
            "clinic": str(administrator.clinic_id),
            "groups": [str(Group.objects.get(name="reviewer").pk)],
            "usable_password": "true",
            "password1": PASSWORD,
            "password2": PASSWORD,
        },
    )
    assert response.status_code == 302
    user = User.objects.get(email="new@clinic.example")
    assert (user.clinic, user.groups.get().name) == (administrator.clinic, "reviewer")
    assert log_in(Client(), user.email)


def test_a_user_without_role_is_told_so(client: Client) -> None:
    client.force_login(make_user(""))
    response = client.get("/")
    assert response.status_code == 403
    assert "no role yet" in response.content.decode()


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/password/reset/", "/healthz"])
def test_open_pages_need_no_account(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_scripts_and_styles_come_from_this_site_alone(client: Client) -> None:
    response = client.get("/accounts/login/")
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    outside = re.findall(r'(?:src|href)="(https?:)?//', response.content.decode())
    assert not outside


def test_a_form_from_another_session_is_refused_in_words() -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post(reverse("account_login"), {"login": "a@b.example", "password": "x"})
    assert response.status_code == 403
    assert "Nothing was kept" in response.content.decode()
