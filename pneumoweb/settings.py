"""Every deployment choice is an environment variable, read here by a typed reader; README lists them all."""

import os
import sys
from pathlib import Path

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from pneumoweb.server import broker, supervisor

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()

TESTING = "pytest" in sys.modules
DATA_DIR: Path = env.path("DATA_DIR", BASE_DIR / "media").resolve()


def secret_key() -> str:
    """Return SECRET_KEY, or the contents of SECRET_KEY_FILE; only the test run may do without either."""
    key: str = env.str("SECRET_KEY", "")
    file: Path | None = env.path("SECRET_KEY_FILE", None)
    if not key and file and file.is_file():
        key = file.read_text().strip()
    if not key and TESTING:
        key = "only-the-test-run-uses-this-key-and-it-protects-nothing"
    if not key and (DATA_DIR / "secret_key").is_file():
        key = (DATA_DIR / "secret_key").read_text().strip()
    if not key:
        raise ImproperlyConfigured(
            "Set SECRET_KEY or SECRET_KEY_FILE, or start once with `make run`, "
            "which makes a key and keeps it in the data folder."
        )
    return key


SECRET_KEY = secret_key()
DEBUG: bool = env.bool("DEBUG", False)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "pneumoweb.accounts",
    "diagnosis",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "csp",
    "django_htmx",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "pneumoweb.middleware.PrivatePages",
    "pneumoweb.middleware.StorageInWords",
]

ROOT_URLCONF = "pneumoweb.urls"
WSGI_APPLICATION = "pneumoweb.wsgi.application"
ASGI_APPLICATION = "pneumoweb.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "diagnosis.core.context_processors.site",
            ],
        },
    }
]

# ---------------------------------------------------------------- database
DATABASES = {
    "default": env.dj_db_url("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}", conn_max_age=60)
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE: a transaction that will write takes the lock at once, so that it waits its turn for up to
    # `timeout` seconds instead of failing half-way with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")} if not TESTING else {}

# ---------------------------------------------------------------- cache
# In the database by default: shared by every process without a server, and up whenever the pages are.
CACHES = {"default": env.dj_cache_url("CACHE_URL", "db://cache")}

# ---------------------------------------------------------------- queue
BROKER_DIR = DATA_DIR / "broker"
CELERY_BROKER_URL: str = env.str("BROKER_URL", "")
# Without BROKER_URL the server brings its own broker; `manage.py serve` starts it.
EMBEDDED_BROKER = (
    None if CELERY_BROKER_URL else broker.embedded(BROKER_DIR, env.str("EMBEDDED_BROKER", "auto"))
)
if EMBEDDED_BROKER:
    CELERY_BROKER_URL = EMBEDDED_BROKER.url
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 120
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "inference"
# A queue for each kind of work (see diagnosis.core.queue); two workers share them, see pneumoweb.server.supervisor.
CELERY_TASK_ROUTES = {
    "diagnosis.tasks.unpack_waiting": {"queue": "zips"},
    "diagnosis.tasks.evaluate_waiting": {"queue": "evaluation"},
    "diagnosis.tasks.read_in_shadow": {"queue": "shadow"},
    "diagnosis.tasks.train_waiting": {"queue": "training"},
    "diagnosis.tasks.*": {"queue": "inference"},
}
CELERY_TASK_TIME_LIMIT = 600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 1
# A page never waits for a broker that is down: the row waits in the database, reconcile wakes a worker later.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
if CELERY_BROKER_URL.startswith(("redis", "rediss")):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 3600,
        "unacked_restore_interval": 5,
        "unacked_restore_limit": 100,
        "socket_connect_timeout": 1,
        "socket_timeout": 5,
    }

# ---------------------------------------------------------------- manage.py serve (make run)
# What this host runs of the site: on one host everything, on several each its part.
PROGRAMS: list[str] = env.list("PROGRAMS", list(supervisor.PROGRAMS))
if not PROGRAMS or not set(PROGRAMS) <= set(supervisor.PROGRAMS):
    raise ImproperlyConfigured(
        f"PROGRAMS must be some of {', '.join(supervisor.PROGRAMS)}, with commas between."
    )
HOST: str = env.str("HOST", "127.0.0.1")
PORT: int = env.int("PORT", 8000)
WORKERS: int = env.int("WORKERS", min(2, os.cpu_count() or 1))
DEMO: bool = env.bool("DEMO", True)

# ---------------------------------------------------------------- files
MEDIA_ROOT = DATA_DIR / "files"
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
S3_BUCKET: str = env.str("STORAGE_S3_BUCKET", "")
STORAGES: dict[str, dict[str, object]] = {
    "default": {
        "BACKEND": "pneumoweb.storage.filesystem.Folder",
        "OPTIONS": {"location": str(MEDIA_ROOT)},
    },
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING or DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
if S3_BUCKET:
    STORAGES["default"] = {
        "BACKEND": "pneumoweb.storage.s3.Bucket",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": env.str("STORAGE_S3_ENDPOINT", None),
            "region_name": env.str("STORAGE_S3_REGION", None),
            "access_key": env.str("STORAGE_S3_ACCESS_KEY", None),
            "secret_key": env.str("STORAGE_S3_SECRET_KEY", None),
            "default_acl": "private",
            "querystring_auth": True,
            "file_overwrite": False,
        },
    }
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
# An uncompressed DICOM film of the largest detectors has 30 to 34 MB.
MAX_FILM_BYTES: int = env.int("MAX_FILM_MB", 40) * 1024 * 1024
MAX_FILMS_PER_UPLOAD: int = env.int("MAX_FILMS_PER_UPLOAD", 500)
MAX_ZIP_BYTES: int = env.int("MAX_ZIP_MB", 4096) * 1024 * 1024
# What waits for an answer, or for the rest of a transfer, is erased when nobody touched it for so long.
BATCH_DAYS: float = env.float("BATCH_DAYS", 7)
DECODER_MEMORY_MB: int = env.int("DECODER_MEMORY_MB", 1536)
DECODER_SECONDS: int = env.int("DECODER_SECONDS", 60)
# Django counts files before a view may answer; the view says the limit in words, so Django's lies above it.
DATA_UPLOAD_MAX_NUMBER_FILES = MAX_FILMS_PER_UPLOAD + 100
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# ---------------------------------------------------------------- inference
INFERENCE_RUNTIME: str = env.str("INFERENCE_RUNTIME", "litert")
if INFERENCE_RUNTIME not in {"litert", "keras"}:
    raise ImproperlyConfigured("INFERENCE_RUNTIME must be litert or keras.")
INFERENCE_BATCH: int = env.int("INFERENCE_BATCH", 16)
INFERENCE_THREADS: int = env.int("INFERENCE_THREADS", 1)
LEASE_SECONDS: float = env.float("LEASE_SECONDS", 60)
MAX_ATTEMPTS = 3
COMPARISON_DIR: Path = env.path("COMPARISON_DIR", BASE_DIR / "ml" / "models" / "comparison")
MODEL_CACHE_DIR = DATA_DIR / "model-cache"

# ---------------------------------------------------------------- training
BASE_DATASET: Path | None = env.path("BASE_DATASET", None)
TRAINING_DIR = DATA_DIR / "training"
TRAINING_THREADS: int = env.int("TRAINING_THREADS", 1)
TRAINING_LEASE_SECONDS: float = env.float("TRAINING_LEASE_SECONDS", 30)
TRAINING_MIN_FILMS: int = env.int("TRAINING_MIN_FILMS", 20)
TRAINING_MIN_VALIDATION: int = env.int("TRAINING_MIN_VALIDATION", 5)

# ---------------------------------------------------------------- reading
REVIEW_LOAN_MINUTES: float = env.float("REVIEW_LOAN_MINUTES", 10)
WAIT_LIMIT_MINUTES: dict[str, float] = {
    "answer": 5, "routine": 1440, "urgent": 120, "stat": 30,
    **env.dict("WAIT_LIMIT_MINUTES", {}, subcast_values=float),
}  # fmt: skip
if set(WAIT_LIMIT_MINUTES) != {"answer", "routine", "urgent", "stat"}:
    raise ImproperlyConfigured(
        "WAIT_LIMIT_MINUTES knows answer, routine, urgent and stat, as in answer=10,stat=30."
    )

# ---------------------------------------------------------------- people
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "pneumoweb.accounts.adapter.ClosedDoor"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = False
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

_mail = env.dj_email_url("EMAIL_URL", "console://")
# Somebody waits for the page that sends the mail.
vars().update({**_mail, "EMAIL_TIMEOUT": _mail["EMAIL_TIMEOUT"] or 10})
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", "PneumoWeb <noreply@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# ---------------------------------------------------------------- browser's side of security
HTTPS: bool = env.bool("HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS: int = env.int("HSTS_SECONDS", 31_536_000) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.bool("BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXIES", 1)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# ---------------------------------------------------------------- language, time, log
LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE: str = env.str("TIME_ZONE", "UTC")
FORMAT_MODULE_PATH = ["pneumoweb.formats"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
}
