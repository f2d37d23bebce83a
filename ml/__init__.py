"""The model of PneumoWeb, usable without Django: paths and arrays in, dataclasses out."""

import os

# TensorFlow writes start-up notes to standard error unless told otherwise before it is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
