"""Pictures: uint8 arrays `[H, W, C]` to grids, image files, animations and charts. Limits on requests are the app's."""

from models.pictures.animations import Animation, AnimationFormat, animation_encoder
from models.pictures.charts import loss_chart
from models.pictures.encoders import ENCODER, Format, encode, side_limit
from models.pictures.grids import Pixels, grid, grid_size

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
]
