"""What holds for every page: who may keep it, and what it says while the storage of films is away."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from pneumoweb.storage.filesystem import StorageAway

log = logging.getLogger(__name__)


class PrivatePages:
    """Add `Cache-Control: private, no-store` to every answer to a logged-in user that sets no rule of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.user.is_authenticated and "Cache-Control" not in response:
            response["Cache-Control"] = "private, no-store"
        return response


class StorageInWords:
    """Answer 503 with a sentence where a page needs the storage of films and it is away."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, StorageAway):
            return None
        log.error("%s %s: %s", request.method, request.path, exception, exc_info=exception)
        if "application/json" in request.headers.get("Accept", ""):
            response: HttpResponse = JsonResponse(
                {"error": str(exception), "fault": str(exception)}, status=503
            )
        else:
            why = f"{exception} Films that were taken in are answered as soon as it can be."
            response = render(request, "503.html", {"why": why}, status=503)
        response["Retry-After"] = "30"
        return response
