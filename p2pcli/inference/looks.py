"""Several results for one input: which features, or which style, a generator is given beside it.

pix2pixHD's instance features (1711.11585, section 3.4) come from a photo or from clusters of those of the
training photos; SPADE's style vector (1903.07291, appendix A) from a photo or from its prior, N(0, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2pcli.conditions import channels_of, instance_ids, label_ids
from p2pcli.errors import ItemError, UsageError
from p2pcli.image import Image, as_rgb8, resize
from p2pcli.inference.clusters import Clusters, clusters_in, instances_in
from p2pcli.inference.model_file import with_weights
from p2pcli.io.codec import read_image
from p2pcli.nets import Network
from p2pcli.nets.spade import STYLE_SIZE
from p2pcli.randomness import rng_for
from p2pcli.recipe import SPADE, Data, FeatureEncoder, Recipe, StyleEncoder
from p2pcli.tasks.networks import encoder_name, required_encoder, state_of
from p2pcli.tensors import from_bytes, stacked

PHOTO = "target"
"""Name among a picture's extras of the photo whose look is taken."""

PHOTO_FOLDERS = ("target", "targets", "img", "images", "B")
"""Where such photos lie beside the folder of label maps, as in training data."""


class Seen(NamedTuple):
    """One picture as looks see it."""

    key: str
    ids: Tensor | None
    """Instance ids, integers (1, 1, H, W)."""
    classes: Tensor | None
    """The label of each pixel, integers (1, 1, H, W)."""
    photo: Tensor | None
    """float32 (1, 3, H, W) in [-1, 1]; None: the look is chosen without one."""


Look = Callable[[Seen], Tensor | None]
"""What the generator is given beside a picture: features (1, F, H, W) or a style (1, 256); None: the mean."""

Pad = Callable[[Tensor], Tensor]
"""Brings (B, C, H, W) to the size that the network takes."""


@dataclass(frozen=True)
class Looks:
    """How one model's looks are chosen."""

    choose: Look
    """The look of a picture that comes without a photo."""
    encoder: Network | None = None
    encode: Look | None = None
    """The look of the photo that a picture comes with; None: the model has no encoder."""
    needs_photo: bool = False
    photo: Image | None = None
    """One photo for all pictures."""

    def photo_layer(self, name: str, extras: Mapping[str, Image], *, width: int, height: int) -> Image | None:
        """The photo (height, width, 3) for the picture `name`, to be packed last; None without.

        Raises `ItemError` where one is needed and missing.
        """
        if self.encode is None:
            return None
        photo = extras.get(PHOTO, self.photo)
        if photo is None and self.needs_photo:
            raise ItemError(
                f"{name}: no photo to take the look from. Expected one of the same name in a folder "
                f"{PHOTO}/ or img/ beside (in Python: extras={{'{PHOTO}': photo}}), or another --look."
            )
        return None if photo is None else resize(as_rgb8(photo), width, height, kernel="bicubic")

    def of_batch(
        self, packed: Sequence[Image], keys: Sequence[str], data: Data, *, device: torch.device, pad: Pad
    ) -> Tensor | None:
        """The looks (B, …) of packed pictures, float32; None: the mean for all."""
        found = []
        for image, key in zip(packed, keys, strict=True):
            seen = _seen(image, key, data, device=device, pad=pad)
            choose = self.choose if seen.photo is None or self.encode is None else self.encode
            found.append(choose(seen))
        known = [look for look in found if look is not None]
        if not known:
            return None
        return torch.cat([torch.zeros_like(known[0]) if look is None else look for look in found])


def _seen(image: Image, key: str, data: Data, *, device: torch.device, pad: Pad) -> Seen:
    packed = stacked([image]).to(device)
    known = max(place.stop for place in channels_of(data).values())
    ids, classes = instance_ids(packed, data), label_ids(packed, data)
    photo = from_bytes(packed[..., known:], device=device) if image.shape[2] > known else None
    return Seen(
        key,
        None if ids is None else pad(ids),
        None if classes is None else pad(classes),
        None if photo is None else pad(photo),
    )


def looks_in(
    path: Path,
    state: Mapping[str, Tensor],
    recipe: Recipe,
    *,
    look: str | int | Path,
    device: torch.device,
    seed: int,
) -> Looks | None:
    """What `look` means for the model at `path`, which holds `state`; None where it has one result alone.

    "auto": the commonest cluster of each class, or the style's mean. A number: that cluster of each class
    (0 the commonest), or that draw of the style, for all pictures alike. "sample": drawn for each picture
    from `seed`. "photo": taken from the photo of each picture; a file: from this photo. Raises `UsageError`
    where the model cannot.
    """
    has_features = isinstance(recipe.encoder, FeatureEncoder)
    style = isinstance(recipe.encoder, StyleEncoder)
    style |= isinstance(recipe.generator, SPADE) and recipe.generator.style_grid is not None
    if not (has_features or style):
        if look != "auto":
            raise UsageError(
                f"look {look}: the model has one result for an input, as it was trained without an encoder. "
                f"Leave --look out; --dropout draws noise where a network has dropout."
            )
        return None
    file = None if isinstance(look, int) else Path(look)
    photo = read_image(file).image if file is not None and file.is_file() else None
    choice = str(look) if photo is None else "photo"
    number = _number(choice)
    if recipe.encoder is None:
        if choice == "photo":
            raise UsageError(
                f"look {look}: the model holds no encoder. Import latest_net_E.pth with its generator."
            )
        return Looks(_of_prior(choice, number, seed=seed))
    values = state_of(state, encoder_name(recipe))
    encoder = with_weights(path, partial(required_encoder, recipe), values, section=recipe.encoder)
    encoder.to(device).eval().requires_grad_(False)
    if isinstance(recipe.encoder, FeatureEncoder):
        clusters = clusters_in(state, features=recipe.encoder.output_channels)
        choose = _of_clusters(choice, number, clusters, seed=seed)
        encode = _encoded_features(encoder)
    else:
        choose, encode = _of_prior(choice, number, seed=seed), _encoded_style(encoder)
    return Looks(choose, encoder, encode, choice == "photo", photo)


def _number(choice: str) -> int | None:
    if choice in ("auto", "sample", "photo"):
        return None
    if choice.isdecimal():
        return int(choice)
    raise UsageError(
        f"no look '{choice}', and no such file. Known: auto, sample, photo, a number from 0 on, or a photo's "
        f"file."
    )


def _of_clusters(choice: str, number: int | None, clusters: Clusters | None, *, seed: int) -> Look:
    if clusters is None:
        if choice in ("auto", "photo"):
            return lambda seen: None
        raise UsageError(
            f"look {choice}: the model holds no clusters of features to choose from. Store them in it with "
            f"p2p cluster DATA -m MODEL, where DATA is what it was trained on."
        )
    pick = partial(_pick, clusters, None if choice == "sample" else number or 0, seed=seed)

    def choose(seen: Seen) -> Tensor:
        assert seen.ids is not None
        ids = seen.ids[0, 0].cpu().numpy()
        classes = None if seen.classes is None else seen.classes[0, 0].cpu().numpy()
        found = instances_in(ids, classes)
        pairs = zip(found.classes, found.ids, strict=True)
        table = np.stack([pick(label, instance, key=seen.key) for label, instance in pairs])
        features = torch.from_numpy(table)[torch.from_numpy(found.places.reshape(ids.shape))]
        return features.permute(2, 0, 1)[None].to(seen.ids.device)

    return choose


def _pick(
    clusters: Clusters, number: int | None, label: int, instance: int, *, key: str, seed: int
) -> NDArray[np.float32]:
    """A centre of class `label`: the `number`-th, from the start again where there are fewer; None: drawn."""
    centres = clusters.of_class(label)
    if not len(centres):
        return np.zeros(clusters.centres.shape[1], np.float32)
    if number is None:
        number = int(rng_for(seed, "look", key, instance).integers(len(centres)))
    centre: NDArray[np.float32] = centres[number % len(centres)]
    return centre


def _encoded_features(encoder: Network) -> Look:
    def encode(seen: Seen) -> Tensor:
        with torch.no_grad():
            features: Tensor = encoder(seen.photo, seen.ids)
        return features

    return encode


def _encoded_style(encoder: Network) -> Look:
    def encode(seen: Seen) -> Tensor:
        with torch.no_grad():
            mean: Tensor = encoder(seen.photo)[0]
        return mean

    return encode


def _of_prior(choice: str, number: int | None, *, seed: int) -> Look:
    if choice in ("auto", "photo"):
        return lambda seen: None

    def choose(seen: Seen) -> Tensor:
        rng = rng_for(seed, "look", number if number is not None else seen.key)
        return torch.from_numpy(rng.standard_normal((1, STYLE_SIZE)).astype(np.float32))

    return choose
