"""Send images of films to the browser."""

import hashlib
import logging

from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, Http404, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

from pneumoweb.accounts.roles import UserRequest

log = logging.getLogger(__name__)


def picture_response(request: UserRequest, file: FieldFile, kind: str) -> HttpResponseBase:
    """Send a stored picture. It never changes, so the browser may keep it, but must ask each time whether it may
    show it: on a shared screen the next user has rights of their own."""
    if not file.name:
        raise Http404
    etag = quote_etag(hashlib.sha256(file.name.encode()).hexdigest())
    response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            response = FileResponse(default_storage.open(file.name, "rb"), content_type=kind)
        except FileNotFoundError as error:
            log.error("%s is missing in the storage", file.name)
            raise Http404 from error
        response["Content-Disposition"] = "inline"
        response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response
