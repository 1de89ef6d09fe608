"""Several results for one input: clusters of features, styles, and the looks of photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from p2pcli import cluster, load_model, translate
from p2pcli.errors import ItemError, UsageError
from p2pcli.image import Image
from p2pcli.inference.clusters import Clusters, cluster_features, clusters_in, instances_in, k_means
from p2pcli.inference.model_file import ModelInfo, read_model, save_model
from p2pcli.io import pairs_folder
from p2pcli.io.codec import encode
from p2pcli.nets.pix2pixhd import instance_mean
from p2pcli.recipe import Recipe, parse_recipe
from p2pcli.tasks.networks import generators_of, model_state

FEATURES: dict[str, Any] = {
    "data": {"size": 16, "load_size": None, "labels": 3, "instances": "inst"},
    "generator": {"name": "pix2pixhd_global", "channels": 2, "downsamplings": 1, "blocks": 1},
    "encoder": {"name": "pix2pixhd_features", "channels": 2, "downsamplings": 1, "output_channels": 2},
}
STYLE: dict[str, Any] = {
    "data": {"size": 64, "load_size": None, "labels": 2},
    "generator": {"name": "spade", "channels": 1, "hidden": 2},
    "encoder": {"name": "spade_style", "channels": 1},
    "inference": {"statistics": "running"},
}
CLUSTERS = Clusters(
    np.array([[0.5, -0.5], [-1, 1], [0.25, 0.75]], np.float32), np.array([0, 0, 2]), np.array([5, 2, 1])
)


def stored(path: Path, values: dict[str, Any], clusters: Clusters | None = None) -> tuple[Path, Recipe]:
    recipe = parse_recipe(values, where="test")
    torch.manual_seed(0)
    state = model_state(generators_of(recipe))
    state |= {} if clusters is None else clusters.tensors()
    save_model(path, state, recipe=recipe, info=ModelInfo(trained_size=recipe.data.size))
    return path, recipe


def scene() -> tuple[Image, Image]:
    """A label map with classes 0, 1 and 2, and its instances: class 0 has two, left and right."""
    labels, instances = np.zeros((16, 16, 1), np.uint8), np.full((16, 16, 1), 10, np.uint8)
    labels[4:8, 4:12], labels[8:12, 4:12] = 1, 2
    instances[:, 8:] = 11
    instances[4:8, 4:12], instances[8:12, 4:12] = 20, 30
    return labels, instances


def photo(seed: int = 0, side: int = 16) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def features_seen(path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[NDArray[np.float32]]:
    """The features that the generator is given for `scene`, once for each key in `keys`."""
    keys, extras = options.pop("keys", [""]), options.pop("extras", {})
    model = load_model(path, device="cpu", precision="float32", **options)
    seen: list[NDArray[np.float32]] = []
    run = model._running.forward

    def spy(x: torch.Tensor, features: torch.Tensor | None = None) -> torch.Tensor:
        seen.append(np.zeros((2, 16, 16)) if features is None else features[0].numpy().copy())
        return run(x, features)

    monkeypatch.setattr(model._running, "forward", spy)
    labels, instances = scene()
    for key in keys:
        model(labels, key=key, extras={"inst": instances, **extras})
    return seen


def test_k_means_finds_groups_that_lie_apart() -> None:
    rng = np.random.default_rng(0)
    middles = np.array([[0.0, 0], [5, 5], [-5, 5]])
    points = np.concatenate([middle + rng.normal(0, 0.1, (20, 2)) for middle in middles])
    centres, nearest = k_means(points, 3, rng=rng)
    assert sorted(np.round(centres).tolist()) == [[-5, 5], [0, 0], [5, 5]]
    assert sorted(np.bincount(nearest).tolist()) == [20, 20, 20]


def test_equal_points_make_one_look_and_no_class_more_than_asked_for() -> None:
    same = [np.array([0.5, 0.5], np.float32)] * 4
    apart = [np.array([x, 0], np.float32) for x in range(9)]
    found = cluster_features({7: same, 1: apart, 3: []}, most=3)
    assert found.classes.tolist() == [1, 1, 1, 7]
    assert found.of_class(7).tolist() == [[0.5, 0.5]]


def test_the_commonest_look_of_a_class_comes_first() -> None:
    points = [np.array([1.0], np.float32)] * 5 + [np.array([-1.0], np.float32)] * 9
    found = cluster_features({0: points}, most=2)
    assert (found.centres.ravel().tolist(), found.counts.tolist()) == ([-1, 1], [9, 5])


def test_an_instance_has_the_class_of_its_middle_pixel_or_of_its_id() -> None:
    ids = np.array([[26003, 26003, 5], [26003, 5, 5]])
    classes = np.array([[9, 2, 3], [1, 7, 8]])
    found = instances_in(ids, classes)
    assert (found.ids, found.classes, found.counts.tolist()) == ([5, 26003], [7, 2], [3, 3])
    assert instances_in(ids, None).classes == [5, 26]


@pytest.mark.parametrize(("look", "expected"), [("auto", [0.5, -0.5]), (0, [0.5, -0.5]), ("1", [-1, 1])])
def test_a_number_gives_that_cluster_to_all_instances_of_a_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Any, expected: list[float]
) -> None:
    path, _ = stored(tmp_path / "m.safetensors", FEATURES, CLUSTERS)
    (features,) = features_seen(path, monkeypatch, look=look)
    assert features[:, 0, 0].tolist() == features[:, 0, 15].tolist() == expected
    # Class 2 has one cluster, class 1 none.
    assert features[:, 9, 6].tolist() == [0.25, 0.75]
    assert features[:, 5, 6].tolist() == [0, 0]


def test_samples_differ_between_pictures_and_repeat_for_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = stored(tmp_path / "m.safetensors", FEATURES, CLUSTERS)
    keys = [f"{index}" for index in range(12)]
    first = features_seen(path, monkeypatch, look="sample", keys=keys)
    again = features_seen(path, monkeypatch, look="sample", keys=keys)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    corners = {(float(f[0, 0, 0]), float(f[0, 0, 15])) for f in first}
    assert corners == {(0.5, 0.5), (0.5, -1), (-1, 0.5), (-1, -1)}


def test_a_photo_is_encoded_and_averaged_over_each_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, recipe = stored(tmp_path / "m.safetensors", FEATURES, CLUSTERS)
    (features,) = features_seen(path, monkeypatch, extras={"target": photo()})
    torch.manual_seed(0)
    encoder = generators_of(recipe)["feature_encoder"].eval()
    x = torch.from_numpy(photo()).permute(2, 0, 1)[None].float() / 127.5 - 1
    ids = torch.from_numpy(scene()[1]).permute(2, 0, 1)[None].long()
    with torch.no_grad():
        expected = instance_mean(encoder.model(x), ids)[0].numpy()
    assert np.abs(features - expected).max() < 1e-6


def test_looks_change_the_picture_and_without_clusters_are_refused(tmp_path: Path) -> None:
    path, _ = stored(tmp_path / "m.safetensors", FEATURES, CLUSTERS)
    labels, instances = scene()
    results = [load_model(path, look=look)(labels, extras={"inst": instances}) for look in (0, 1)]
    assert not np.array_equal(*results)
    bare, _ = stored(tmp_path / "bare.safetensors", FEATURES)
    with pytest.raises(UsageError, match=r"holds no clusters of features.*p2p cluster DATA -m MODEL"):
        load_model(bare, look=1)
    load_model(bare)


def test_a_style_is_its_mean_a_numbered_draw_or_drawn_for_each_picture(tmp_path: Path) -> None:
    path, _ = stored(tmp_path / "m.safetensors", STYLE)
    labels = np.zeros((64, 64, 1), np.uint8)
    labels[:, 32:] = 1

    def result(look: Any, key: str = "", **options: Any) -> Image:
        return load_model(path, look=look, precision="float32", **options)(labels, key=key)

    assert not np.array_equal(result("auto"), result(0))
    assert not np.array_equal(result(0), result(1))
    assert np.array_equal(result(1, "a"), result("1", "b"))
    assert not np.array_equal(result("sample", "a"), result("sample", "b"))
    assert np.array_equal(result("sample", "a"), result("sample", "a"))
    assert not np.array_equal(result(1), result(1, seed=1))


def test_a_style_is_taken_from_a_photos_file(tmp_path: Path) -> None:
    path, recipe = stored(tmp_path / "m.safetensors", STYLE)
    (tmp_path / "look.png").write_bytes(encode(photo(side=64), ".png", quality=95))
    labels = np.zeros((64, 64, 1), np.uint8)
    model = load_model(path, look=tmp_path / "look.png", precision="float32", device="cpu")
    torch.manual_seed(0)
    networks = generators_of(recipe)
    x = torch.from_numpy(photo(side=64)).permute(2, 0, 1)[None].float() / 127.5 - 1
    planes = torch.zeros(1, 2, 64, 64)
    planes[:, 0] = 1
    with torch.no_grad():
        style = networks["style_encoder"].eval()(x)[0]
        made = networks["generator"].eval()(planes, style)
    expected = ((made[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    assert np.abs(model(labels).astype(int) - expected.astype(int)).max() <= 1


def test_a_model_with_a_style_grid_keeps_the_size_of_its_source(tmp_path: Path) -> None:
    path, _ = stored(tmp_path / "m.safetensors", STYLE)
    assert load_model(path)(np.zeros((50, 90, 1), np.uint8)).shape == (50, 90, 3)


def test_models_with_one_result_and_unknown_looks_are_refused(tiny_model: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="look 2: the model has one result"):
        load_model(tiny_model(), look=2)
    path, _ = stored(tmp_path / "m.safetensors", STYLE)
    with pytest.raises(UsageError, match="no look 'blue', and no such file"):
        load_model(path, look="blue")


def street(folder: Path, count: int = 3) -> Path:
    """Pairs with instances: label/, img/, inst/."""
    labels, instances = scene()
    for index in range(count):
        for name, image in (("label", labels), ("inst", instances), ("img", photo(index))):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{index}.png").write_bytes(encode(image, ".png", quality=95))
    return folder


def test_cluster_stores_looks_beside_networks_that_stay_as_they_were(tmp_path: Path) -> None:
    path, _ = stored(tmp_path / "m.safetensors", FEATURES)
    before = read_model(path)[0]
    report = cluster(street(tmp_path / "data"), model=path, clusters=2, device="cpu")
    after = read_model(path)[0]
    found = clusters_in(after)
    # Validation keeps one pair; two remain, with two instances of class 0 each.
    assert (report.tally.written, report.looks) == (2, {0: 2, 1: 2, 2: 2})
    assert found is not None and found.counts.sum() == 8
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())
    cluster(tmp_path / "data", model=path, clusters=1, device="cpu")
    assert len(read_model(path)[0]) == len(after)


def test_cluster_goes_on_behind_any_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = stored(tmp_path / "m.safetensors", FEATURES)
    data = street(tmp_path / "data", count=6)
    whole = pairs_folder.read_image

    def broken(path: Path, **options: Any) -> Any:
        if path.name in ("1.png", "2.png"):
            raise AssertionError("palette")
        return whole(path, **options)

    monkeypatch.setattr(pairs_folder, "read_image", broken)
    report = cluster(data, model=path, clusters=2, device="cpu")
    # One of the two may be held out for validation.
    assert {row.key for row in report.tally.failed} & {"1", "2"}
    assert report.tally.planned == report.tally.written + len(report.tally.failed)
    assert report.tally.written > 0
    assert "AssertionError: palette" in report.tally.failed[0].message


def test_cluster_needs_an_encoder_of_features(tiny_model: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no encoder of instance features"):
        cluster(street(tmp_path / "data"), model=tiny_model())


def test_translate_takes_the_look_of_the_photo_beside_each_label_map(tmp_path: Path) -> None:
    path, _ = stored(tmp_path / "m.safetensors", FEATURES)
    folder = street(tmp_path / "data", count=2)
    report = translate(
        folder / "label", model=path, output=tmp_path / "out", look="photo", device="cpu", precision="float32"
    )
    assert (report.tally.written, report.tally.failed) == (2, [])
    labels, instances = scene()
    model = load_model(path, device="cpu", precision="float32")
    for index, file in enumerate(sorted((tmp_path / "out").glob("*.png"))):
        from p2pcli.io.codec import read_image

        expected = model(labels, extras={"inst": instances, "target": photo(index)})
        assert np.array_equal(read_image(file).image, expected)


def test_a_photo_that_is_missing_is_named(tmp_path: Path) -> None:
    path, _ = stored(tmp_path / "m.safetensors", FEATURES)
    labels, instances = scene()
    with pytest.raises(ItemError, match="no photo to take the look from"):
        load_model(path, look="photo")(labels, extras={"inst": instances})
