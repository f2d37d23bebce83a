"""All addresses of the site."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.generic import RedirectView

from pneumoweb.accounts import views as accounts
from pneumoweb.health import healthz

admin.autodiscover()
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = admin.site.site_title = "PneumoWeb administration"

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("accounts/profile/", accounts.profile, name="profile"),
    # The address is the log-in name and the administrator's to change, so allauth's page for it is not offered.
    path("accounts/email/", RedirectView.as_view(pattern_name="profile"), name="account_email"),
    path("accounts/", include("allauth.account.urls")),
    path("admin/", admin.site.urls),
    # Pages that name no icon of their own (the admin's) make browsers ask here.
    path(
        "favicon.ico",
        login_not_required(RedirectView.as_view(url=f"{settings.STATIC_URL}pneumoweb/core/icon.svg")),
    ),
    path("", include("diagnosis.urls")),
]
