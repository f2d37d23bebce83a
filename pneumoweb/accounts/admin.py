"""Users, roles and clinics for the administrator."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm

from pneumoweb.accounts.models import Clinic, User


class NewUserForm(AdminUserCreationForm):
    """Django's form, by e-mail address."""

    class Meta:
        model = User
        fields = ("email",)


class ChangeUserForm(UserChangeForm):
    """Django's form, by e-mail address."""

    class Meta:
        model = User
        fields = "__all__"


@admin.register(User)
class PeopleAdmin(UserAdmin):
    """Users: role by group, clinic, active or not."""

    form = ChangeUserForm
    add_form = NewUserForm
    ordering = ["email"]
    list_display = ["email", "first_name", "last_name", "clinic", "role_names", "is_staff", "is_active"]
    list_filter = ["clinic", "groups", "is_staff", "is_superuser", "is_active"]
    list_select_related = ["clinic"]
    search_fields = ["email", "first_name", "last_name"]
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "clinic")}),
        ("Roles", {"fields": ("groups", "is_staff", "is_superuser", "is_active")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": (
                    "email",
                    "first_name",
                    "last_name",
                    "clinic",
                    "groups",
                    "is_staff",
                    "usable_password",
                    "password1",
                    "password2",
                ),
            },
        ),
    )

    @admin.display(description="roles")
    def role_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())


@admin.register(Clinic)
class ClinicAdmin(admin.ModelAdmin):
    """Clinics."""

    list_display = ["name", "blind_first", "second_share", "second_on_dispute", "study_dates", "created_at"]
    search_fields = ["name"]
