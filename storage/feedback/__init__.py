"""Feedback on models: how they did, call by call and on the whole."""

from .feedback import Judgement, ModelFeedback

__all__ = ["Judgement", "ModelFeedback"]
