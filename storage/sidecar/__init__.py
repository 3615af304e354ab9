"""The sidecar: brings the write log into the database, and answers reads."""

from .service import run_sidecar

__all__ = ["run_sidecar"]
