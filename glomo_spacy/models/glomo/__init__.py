"""GLoMo: relational graphs learned from raw text (Yang et al. 2018)."""

from .config import GlomoConfig
from .decoder import ContextDecoder, Negatives
from .encoders import KeyCNN, QueryCNN
from .feature_predictor import FeaturePredictor
from .graph import GraphPredictor
from .learner import GlomoModel

__all__ = [
    "ContextDecoder",
    "FeaturePredictor",
    "GlomoConfig",
    "GlomoModel",
    "GraphPredictor",
    "KeyCNN",
    "Negatives",
    "QueryCNN",
]
