"""Conditions: what a recipe's [data] makes of a sample's pictures, up to the planes that networks see.

`layers` packs pictures into one uint8 array, to be cropped and mirrored as one; `planes` turns such arrays
into tensors and a network's result back into a picture. Resizing and drawing belong to `training.augment`.
"""

from __future__ import annotations

from p2pcli.conditions.label_advice import advice_on_values
from p2pcli.conditions.labels import ConditionError, LabelValueError, plain_ids, values_in
from p2pcli.conditions.layers import (
    channels_of,
    further_layers,
    main_layers,
    shown_input,
)
from p2pcli.conditions.planes import as_picture, input_planes, instance_ids, label_ids, target_planes

__all__ = [
    "ConditionError",
    "LabelValueError",
    "advice_on_values",
    "as_picture",
    "channels_of",
    "further_layers",
    "input_planes",
    "instance_ids",
    "label_ids",
    "main_layers",
    "plain_ids",
    "shown_input",
    "target_planes",
    "values_in",
]
