"""What other programs kept and has no table here: as JSON, so that an import drops nothing."""

from .imports import Imports

__all__ = ["Imports"]
