import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nearest import move, numbers
from PIL import Image
from random_masks import fast, seeds

from segdata.masks import rle
from segdata.reading.geometry import choose_geometry
from segdata.reading.options import Augmentation, Resize
from segdata.streams import object_masks, resample
from segdata.streams.nearest import of_span
from segdata.streams.tensorflow import tf

NOTHING_RANDOM = Augmentation()
sides = st.integers(1, 40)
resizes = st.sampled_from(
    [
        Resize(mode=mode, position=position)
        for mode in ("stretch", "pad", "cover")
        for position in ("center", "top-left", "random")
    ]
    + [
        Resize(mode="short_side", short_side=10),
        Resize(mode="short_side", short_side=1),
    ]
)
augmentations = st.sampled_from(
    [
        Augmentation(),
        Augmentation(horizontal_flip=0.5, vertical_flip=0.5),
        Augmentation(scale=(0.1, 2.0)),
        Augmentation(scale=(0.5, 4.0), horizontal_flip=1.0),
    ]
)


@st.composite
def geometries(draw):
    """A geometry with the number that its draws come from."""
    source, canvas = (draw(st.tuples(sides, sides)) for _ in range(2))
    seed = draw(seeds)
    draws = np.random.default_rng(seed).random(5)
    chosen = draw(resizes), draw(augmentations)
    geometry = choose_geometry(*source, canvas, *chosen, tf.constant(draws), tf)
    plain = choose_geometry(*source, canvas, *chosen, draws)
    assert spans(plain) == spans(geometry)
    for one, other in zip(plain.affine(), geometry.affine(), strict=True):
        np.testing.assert_array_equal(one, other)
    return geometry, seed


def spans(geometry):
    return numbers(geometry.rows), numbers(geometry.columns)


@fast
@given(geometries())
def test_what_is_shown_lies_inside_image_and_canvas(case):
    for span in spans(case[0]):
        assert 0 <= span["low"] <= span["low"] + span["size"] <= span["source"]
        assert 0 <= span["place"] <= span["place"] + span["extent"] <= span["canvas"]
        assert min(span["size"], span["extent"]) >= 1


@fast
@given(geometries())
def test_label_maps_move_as_their_dense_pixels_would(case):
    geometry, seed = case
    rows, columns = spans(geometry)
    shape = (rows["source"], columns["source"])
    dense = np.random.default_rng(seed).integers(0, 5, shape, dtype=np.uint8)
    values, lengths = rle.encode_label_map(dense)
    moved = resample.move_label_map(values.tobytes(), lengths, geometry, 255)
    np.testing.assert_array_equal(moved, move(dense, rows, columns, 255))


@fast
@given(geometries())
def test_masks_move_as_their_dense_pixels_would(case):
    geometry, seed = case
    rows, columns = spans(geometry)
    shape = (rows["source"], columns["source"])
    dense = np.random.default_rng(seed).integers(0, 2, (2, *shape), dtype=np.uint8)
    runs = [rle.rle(mask, *shape) for mask in dense]
    read = object_masks.read_runs(
        np.concatenate(runs), np.array([len(part) for part in runs]), *shape
    )
    axes = [
        object_masks.for_all(of_span(span), tf.constant(2))
        for span in (geometry.rows, geometry.columns)
    ]
    shown = [tf.constant(span["extent"]) for span in (rows, columns)]
    masks = object_masks.sample_masks(read, *axes, shown, tf.range(2))
    moved = resample.move_masks(masks, geometry)
    np.testing.assert_array_equal(moved, [move(mask, rows, columns) for mask in dense])


@fast
@given(geometries())
def test_images_move_with_the_masks(case):
    """What is shown is resized as Pillow does it: antialiased where it shrinks."""
    geometry, seed = case
    rows, columns = spans(geometry)
    size = (rows["source"], columns["source"], 3)
    image = np.random.default_rng(seed).integers(1, 256, size, np.uint8)
    shown = resample.cut(tf.constant(image), geometry)
    moved = resample.move_image(shown, geometry).numpy().astype(int)
    covered = move(np.ones(size[:2], np.uint8), rows, columns) > 0
    np.testing.assert_array_equal((moved > 0).all(-1), covered)
    resized = Image.fromarray(shown.numpy()).resize(
        (columns["extent"], rows["extent"]), Image.Resampling.BILINEAR
    )
    expected = np.asarray(resized)[:: -1 if rows["flipped"] else 1]
    expected = expected[:, :: -1 if columns["flipped"] else 1]
    # Pillow rounds in fixed point, once along each axis.
    difference = moved[covered] - expected.reshape(-1, 3)
    assert abs(difference).max() <= 2


def test_a_larger_copy_of_an_image_gives_the_same_pixels():
    small = np.random.default_rng(0).integers(0, 256, (12, 15, 3), np.uint8)
    small = np.kron(small, np.ones((8, 8, 1), np.uint8))  # so that there is no noise
    large = np.asarray(Image.fromarray(small).resize((480, 384), Image.Resampling.BOX))
    found, other = (
        resample.resize_image(image, (24, 30)).numpy().astype(int)
        for image in (small, large)
    )
    assert np.abs(found - other).mean() < 1


@fast
@given(geometries())
def test_boxes_follow_the_affine_map_and_are_cut(case):
    geometry, seed = case
    rows, columns = spans(geometry)
    rng = np.random.default_rng(seed)
    size = [rows["source"], columns["source"]]
    boxes = (np.sort(rng.random((6, 2, 2)), axis=1) * size).reshape(6, 4)
    moved, shown = (part.numpy() for part in geometry.move_boxes(tf.constant(boxes)))
    for axis, span in enumerate((rows, columns)):
        low, high = boxes[:, axis], boxes[:, axis + 2]
        ends = [
            np.clip(v, span["low"], span["low"] + span["size"]) for v in (low, high)
        ]
        np.testing.assert_allclose(shown[:, axis::2], np.transpose(ends))
        factor = span["extent"] / span["size"]
        there = [(end - span["low"]) * factor + span["place"] for end in ends]
        if span["flipped"]:
            there = [span["canvas"] - end for end in reversed(there)]
        np.testing.assert_allclose(moved[:, axis::2], np.transpose(there), atol=1e-9)


@fast
@given(geometries())
def test_scale_and_offset_put_canvas_points_back(case):
    geometry, seed = case
    scale, offset = geometry.affine()
    points = np.random.default_rng(seed).random((5, 2)) * 30
    moved = geometry.move_points(tf.constant(points)).numpy()
    np.testing.assert_allclose((moved - offset) / scale, points, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("box", [(2, 3, 9, 11), (0, 0, 1, 1), (5, 0, 12, 16)])
@pytest.mark.parametrize("mode", ["stretch", "pad", "cover"])
def test_a_filled_box_has_its_mask_where_its_box_says(box, mode):
    """At a whole factor both are exact."""
    mask = np.zeros((12, 16), np.uint8)
    mask[box[0] : box[2], box[1] : box[3]] = 1
    geometry = choose_geometry(
        12,
        16,
        (36, 48),
        Resize(mode=mode),
        Augmentation(horizontal_flip=1.0),
        tf.zeros([5], tf.float64),
        tf,
    )
    moved = move(mask, *spans(geometry))
    boxes, _ = geometry.move_boxes(tf.constant([box], tf.float64))
    y, x = np.nonzero(moved)
    tight = [y.min(), x.min(), y.max() + 1, x.max() + 1]
    np.testing.assert_array_equal(boxes[0], tight)


def test_modes_fit_as_they_say():
    def shown(resize, augmentation=NOTHING_RANDOM, draws=None):
        geometry = choose_geometry(30, 60, (40, 40), resize, augmentation, draws, tf)
        return [
            tuple(span[name] for name in ("low", "size", "place", "extent"))
            for span in spans(geometry)
        ]

    assert shown(Resize()) == [(0, 30, 0, 40), (0, 60, 0, 40)]
    assert shown(Resize(mode="pad")) == [(0, 30, 10, 20), (0, 60, 0, 40)]
    top_left = Resize(mode="pad", position="top-left")
    assert shown(top_left) == [(0, 30, 0, 20), (0, 60, 0, 40)]
    assert shown(Resize(mode="cover")) == [(0, 30, 0, 40), (15, 30, 0, 40)]
    short = Resize(mode="short_side", short_side=15)
    assert shown(short) == [(0, 30, 12, 15), (0, 60, 5, 30)]
    assert shown(Resize(mode="short_side", short_side=99)) == shown(Resize(mode="pad"))
    jitter = Augmentation(scale=(1.0, 3.0))
    draws = tf.constant([0.5, 0.0, 0.999, 0.0, 0.0], tf.float64)
    # Twice the fitted size, 40 x 80: all rows, the last half of the columns.
    assert shown(Resize(mode="pad"), jitter, draws) == [(0, 30, 0, 40), (30, 30, 0, 40)]


def test_padding_has_its_colour_and_flips_its_probability():
    geometry = choose_geometry(
        4, 8, (8, 8), Resize(mode="pad"), Augmentation(), None, tf
    )
    image = tf.fill([4, 8, 3], tf.constant(9, tf.uint8))
    moved = resample.move_image(image, geometry, (1, 2, 3)).numpy()
    assert (moved[:2] == [1, 2, 3]).all()
    assert (moved[6:] == [1, 2, 3]).all()
    assert (moved[2:6] == 9).all()
    for flip, draw, flipped in (
        (0.3, 0.29, True),
        (0.3, 0.31, False),
        (1.0, 0.9, True),
    ):
        draws = tf.fill([5], tf.constant(draw, tf.float64))
        augmentation = Augmentation(horizontal_flip=flip)
        geometry = choose_geometry(4, 4, (4, 4), Resize(), augmentation, draws, tf)
        assert bool(geometry.columns.flipped) is flipped
        assert geometry.rows.flipped is False


def test_jpeg_windows_equal_the_cut_image():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    smooth = tf.cast(tf.image.resize(pixels[::10, ::10], (50, 70)), tf.uint8)
    draws = tf.constant([0.5, 0.3, 0.7, 0.0, 0.0], tf.float64)
    geometry = choose_geometry(
        50,
        70,
        (20, 20),
        Resize(mode="cover"),
        Augmentation(scale=(1.0, 4.0)),
        draws,
        tf,
    )
    assert int(geometry.rows.size) < 50
    for name, encoded in (
        ("jpeg", tf.io.encode_jpeg(smooth)),
        ("png", tf.io.encode_png(smooth)),
    ):
        shown = resample.decode_shown(encoded, tf.constant(name), geometry)
        whole = tf.io.decode_image(encoded, channels=3)
        np.testing.assert_array_equal(shown, resample.cut(whole, geometry))
