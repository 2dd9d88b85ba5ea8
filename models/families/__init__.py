"""Network families: layers as plain values, their cost by arithmetic, and their builders.

A family is a module here (its configuration, without torch), one in `models.networks` (its layers), its presets, and
its name in the list below.
"""

from __future__ import annotations

from models.families import dcgan, fastgan, mlp, patch, r3gan
from models.families.spec import FAMILIES

for _family in (mlp.FAMILY, dcgan.FAMILY, patch.FAMILY, r3gan.FAMILY, fastgan.FAMILY):
    FAMILIES.register(_family)
