"""All addresses of the site."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from pneumoweb.accounts import views as accounts
from pneumoweb.health import healthz

admin.autodiscover()
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = admin.site.site_title = "PneumoWeb administration"

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("accounts/profile/", accounts.profile, name="profile"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("", include("diagnosis.urls")),
]
