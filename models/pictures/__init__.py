"""Pixels, grids, encoders, animations and charts: arrays in, bytes out; who may ask for how much is left to the app."""

from models.pictures.animations import Animation, AnimationFormat, animation_encoder
from models.pictures.charts import loss_chart
from models.pictures.grids import grid, grid_size
from models.pictures.pixels import Pixels, to_uint8
from models.pictures.stills import ENCODER, Format, encode, side_limit

__all__ = [
    "ENCODER",
    "Animation",
    "AnimationFormat",
    "Format",
    "Pixels",
    "animation_encoder",
    "encode",
    "grid",
    "grid_size",
    "loss_chart",
    "side_limit",
    "to_uint8",
]
