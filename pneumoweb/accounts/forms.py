"""What people may change about themselves."""

from django import forms

from pneumoweb.accounts.models import User


class ProfileForm(forms.ModelForm):
    """A user's own name; address, clinic and roles are the administrator's."""

    class Meta:
        model = User
        fields = ["first_name", "last_name"]
