from __future__ import annotations

import dataclasses
import unicodedata

import numpy as np
import pytest
from PIL import Image

from segdata.drawing import draw, sheet
from segdata.drawing.draw import DrawnObject, Picture
from segdata.errors import OptionError
from segdata.label_map import LabelClass, LabelMap, distinct_colors

RED, GREEN, BLUE = (255, 0, 0), (0, 200, 0), (0, 0, 255)
CLASSES = (
    LabelClass(id=0, name="sky", color=BLUE),
    LabelClass(id=1, name="tree", color=GREEN),
    LabelClass(id=2, name="void", color=(9, 8, 7)),
)
SCENE = LabelMap(semantic_classes=CLASSES, ignore_id=2)
THINGS = LabelMap(object_classes=(LabelClass(id=1, name="car", color=RED),))


def gray_image(height, width, value=100):
    return np.full((height, width, 3), value, np.uint8)


def halves(height, width):
    """Sky above, trees below."""
    label_map = np.zeros((height, width), np.uint8)
    label_map[height // 2 :] = 1
    return label_map


def thing(box, mask=None, **fields):
    return DrawnObject(**{"name": "car", "color": RED} | fields, box=box, mask=mask)


def box_mask(height, width, box):
    mask = np.zeros((height, width), np.uint8)
    mask[box[0] : box[2], box[1] : box[3]] = 1
    return mask


def scene(height=30, width=40, title="a"):
    image = gray_image(height, width)
    return Picture(title=title, image=image, label_map=halves(height, width))


def pixels_of(page):
    assert page.mode == "RGB"
    return np.asarray(page)


def count_pixels(pixels, color):
    return int((pixels == color).all(axis=-1).sum())


def test_colorize_gives_every_id_exactly_its_color():
    colored = draw.colorize(np.array([[0, 1], [2, 0]], np.uint8), CLASSES, None)
    assert colored.dtype == np.uint8
    assert colored.tolist() == [[[0, 0, 255], [0, 200, 0]], [[9, 8, 7], [0, 0, 255]]]


def test_colorize_paints_ids_that_are_no_class_black():
    colored = draw.colorize(np.array([[3, 200, 1]], np.uint8), CLASSES, None)
    assert colored.tolist() == [[[0, 0, 0], [0, 0, 0], [0, 200, 0]]]


def test_colorize_tells_an_ignored_id_without_a_class_from_an_unknown_id():
    colored = draw.colorize(np.array([[255, 254]], np.uint8), CLASSES, 255)
    assert colored.tolist() == [[list(draw.IGNORED_COLOR), [0, 0, 0]]]


def test_colorize_paints_an_ignored_class_in_its_own_color():
    colored = draw.colorize(np.array([[2]], np.uint8), CLASSES, 2)
    assert colored.tolist() == [[[9, 8, 7]]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (1, 700)])
def test_colorize_takes_any_size(shape):
    assert draw.colorize(np.zeros(shape, np.uint8), CLASSES, 2).shape == (*shape, 3)


def test_colorize_knows_all_256_ids():
    colors = [(value, 255 - value, 7) for value in range(256)]
    classes = [
        LabelClass(id=i, name=str(i), color=color) for i, color in enumerate(colors)
    ]
    colored = draw.colorize(np.arange(256, dtype=np.uint8)[None], classes, None)
    assert [tuple(pixel) for pixel in colored[0].tolist()] == colors


def test_overlay_with_alpha_0_is_the_image():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    colored = draw.colorize(halves(20, 30), CLASSES, None)
    assert np.array_equal(draw.overlay(image, colored, 0), image)


def test_overlay_mixes_in_proportion_to_alpha():
    colored = np.full((2, 2, 3), (200, 0, 100), np.uint8)
    mixed = draw.overlay(gray_image(2, 2), colored, 0.25)
    assert mixed.dtype == np.uint8
    assert (mixed == (125, 75, 100)).all()


def test_overlay_with_alpha_1_is_the_mask_with_one_bright_line_per_border():
    colored = draw.colorize(halves(6, 4), CLASSES, None)
    mixed = draw.overlay(gray_image(6, 4), colored, 1)
    assert (mixed[:3] == BLUE).all()
    assert (mixed[3] == 255).all()
    assert (mixed[4:] == GREEN).all()


def test_overlay_draws_lines_along_vertical_borders_too():
    colored = draw.colorize(halves(6, 4).T.copy(), CLASSES, None)
    mixed = draw.overlay(gray_image(4, 6), colored, 1)
    assert (mixed[:, 3] == 255).all()
    assert (mixed[:, 2] == BLUE).all()
    assert (mixed[:, 4] == GREEN).all()


def test_a_black_class_does_not_darken_the_image():
    colored = np.zeros((4, 4, 3), np.uint8)
    colored[:, 2:] = RED
    mixed = draw.overlay(gray_image(4, 4), colored)
    assert (mixed[:, :2] == 100).all()
    assert (mixed[:, 3] != 100).any()


@pytest.mark.parametrize("name", ["background", "_background_", "Background"])
def test_photo_stays_clear_on_the_background(name):
    classes = (
        LabelClass(id=0, name=name, color=(200, 0, 0)),
        LabelClass(id=1, name="pet", color=(0, 200, 0)),
    )
    image = gray_image(4, 4)
    label_map = np.zeros((4, 4), np.uint8)
    label_map[:2] = 1
    found = draw.lay_over(image, label_map, classes, None)
    assert np.array_equal(found[3], image[3])
    assert (found[0, :, 1] > image[0, :, 1]).all()


def test_overlay_leaves_its_inputs_alone():
    image, colored = gray_image(4, 4), np.zeros((4, 4, 3), np.uint8)
    draw.overlay(image, colored)
    assert (image == 100).all()
    assert (colored == 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (0, 3), (1, 500)])
def test_overlay_takes_any_size(shape):
    image, colored = np.zeros((2, *shape, 3), np.uint8)
    assert draw.overlay(image, colored).shape == (*shape, 3)


def test_overlay_refuses_a_mask_of_another_size():
    with pytest.raises(OptionError, match="expected 4x5, got 5x4"):
        draw.overlay(gray_image(4, 5), gray_image(5, 4))


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_overlay_refuses_an_alpha_outside_0_to_1(alpha):
    with pytest.raises(OptionError, match="alpha"):
        draw.overlay(gray_image(2, 2), gray_image(2, 2), alpha)


def test_without_objects_the_image_is_copied():
    image = gray_image(5, 5)
    drawn = draw.draw_objects(image, [])
    assert np.array_equal(drawn, image)
    drawn[:] = 0
    assert (image == 100).all()


def test_a_mask_is_tinted_inside_and_outlined_in_full_color():
    item = thing((0, 0, 12, 12), box_mask(12, 12, (2, 2, 9, 9)))
    drawn = draw.draw_objects(gray_image(12, 12), [item])
    assert drawn[5, 5].tolist() == [170, 55, 55]  # 45% red
    assert (drawn[2, 2:9] == RED).all()
    assert (drawn[2:9, 8] == RED).all()
    assert (drawn[1, 1:11] == 100).all()
    assert (drawn[1:11, 9:11] == 100).all()


def test_a_box_without_a_mask_is_a_frame_of_one_pixel():
    drawn = draw.draw_objects(gray_image(12, 12), [thing((2, 3, 10, 9))])
    assert count_pixels(drawn, RED) == 2 * 6 + 2 * 6
    assert (drawn[2, 3:9] == RED).all()
    assert (drawn[9, 3:9] == RED).all()
    assert (drawn[3:9, 4:8] == 100).all()


def test_an_empty_mask_draws_only_the_box():
    empty = np.zeros((12, 12), np.uint8)
    with_mask = draw.draw_objects(gray_image(12, 12), [thing((2, 3, 10, 9), empty)])
    without = draw.draw_objects(gray_image(12, 12), [thing((2, 3, 10, 9))])
    assert np.array_equal(with_mask, without)


@pytest.mark.parametrize(
    "box", [(-50, -50, 99, 99), (20, 20, 30, 30), (5, 5, 5, 5), (9, 9, 3, 3)]
)
def test_boxes_beyond_the_image_and_without_area_are_drawn_inside_it(box):
    drawn = draw.draw_objects(gray_image(12, 12), [thing(box)])
    assert drawn.shape == (12, 12, 3)
    assert count_pixels(drawn, RED) > 0


def test_a_crowd_is_striped():
    box = (0, 0, 40, 40)
    mask = box_mask(60, 60, box)
    solid = draw.draw_objects(gray_image(60, 60), [thing(box, mask, name="")])
    crowd = thing(box, mask, name="", is_crowd=True)
    striped = draw.draw_objects(gray_image(60, 60), [crowd])
    assert count_pixels(solid[24:36, 4:36], (100, 100, 100)) == 0
    plain = count_pixels(striped[24:36, 4:36], (100, 100, 100))
    tinted = count_pixels(striped[24:36, 4:36], (170, 55, 55))
    assert plain + tinted == 12 * 32
    assert 0.4 < plain / (12 * 32) < 0.6


def test_the_box_of_a_crowd_is_dashed():
    item = thing((10, 10, 50, 50), is_crowd=True, name="")
    edge = draw.draw_objects(gray_image(60, 60), [item])[49, 10:50]
    assert 15 <= count_pixels(edge, RED) <= 25


def test_a_tag_is_written_above_the_box_in_a_legible_color():
    for color, ink in ((BLUE, 255), ((255, 255, 0), 34)):
        item = thing((40, 10, 90, 90), color=color)
        drawn = draw.draw_objects(gray_image(100, 100), [item])
        tag = drawn[25:40, 10:40]
        assert count_pixels(tag, color) > 100
        assert (np.abs(tag[:, :, 1].astype(int) - ink) < 40).any()
        assert (drawn[:25] == 100).all()


def test_a_tag_stays_in_the_image_when_there_is_no_room_above_the_box():
    drawn = draw.draw_objects(gray_image(100, 100), [thing((0, 0, 100, 100))])
    assert count_pixels(drawn[1:15, 1:25], RED) > 100


def test_tags_of_objects_in_the_same_place_do_not_cover_each_other():
    both = [thing((40, 10, 90, 90), name=name) for name in ("aaa", "bbb")]
    one = draw.draw_objects(gray_image(100, 100), both[:1])
    two = draw.draw_objects(gray_image(100, 100), both)
    assert np.array_equal(one[:40], two[:40])
    assert count_pixels(two[41:55, 11:60], RED) > 100
    assert count_pixels(one[41:55, 11:60], RED) == 0


def test_an_object_smaller_than_its_tag_goes_without():
    drawn = draw.draw_objects(gray_image(100, 100), [thing((50, 50, 54, 54))])
    assert count_pixels(drawn, (100, 100, 100)) == 100 * 100 - 12  # its frame


def test_scores_and_crowds_are_in_the_tag():
    item = thing((40, 10, 190, 190))
    variants = [item, dataclasses.replace(item, score=0.5)]
    variants.append(dataclasses.replace(item, is_crowd=True))
    reds = [
        count_pixels(draw.draw_objects(gray_image(200, 200), [v])[:40], RED)
        for v in variants
    ]
    assert reds[0] < reds[1] < reds[2]


def test_small_objects_lie_on_top_of_large_ones_in_any_order():
    large = thing((0, 0, 60, 60), box_mask(60, 60, (0, 0, 60, 60)), name="")
    box = (30, 30, 34, 34)
    small = thing(box, box_mask(60, 60, box), color=BLUE)
    for objects in ([large, small], [small, large]):
        drawn = draw.draw_objects(gray_image(60, 60), objects)
        assert drawn[30, 30].tolist() == list(BLUE)


def test_an_image_of_one_pixel_can_carry_an_object():
    item = thing((0, 0, 1, 1), np.ones((1, 1), np.uint8))
    drawn = draw.draw_objects(gray_image(1, 1), [item])
    assert drawn.tolist() == [[list(RED)]]


def test_a_mask_of_another_size_is_refused():
    item = thing((0, 0, 2, 2), np.ones((3, 2), np.uint8))
    with pytest.raises(OptionError, match=r"mask of 'car'.*expected 2x3, got 3x2"):
        draw.draw_objects(gray_image(2, 3), [item])
    picture = Picture(title="a", image=gray_image(2, 3), objects=(item,))
    with pytest.raises(OptionError, match="mask of 'car'"):
        sheet.grid([picture], THINGS)


def test_the_legend_lists_only_classes_that_occur_with_their_share():
    void = np.full((1, 10), 2, np.uint8)
    pictures = [scene(3, 10), Picture(title="b", image=gray_image(1, 10))]
    pictures[1] = dataclasses.replace(pictures[1], label_map=void)
    entries = sheet.legend_entries(pictures, SCENE)
    assert [(e.name, e.color, e.share, e.is_ignored) for e in entries] == [
        ("sky", BLUE, 0.25, False),
        ("tree", GREEN, 0.5, False),
        ("void", (9, 8, 7), 0.25, True),
    ]
    absent = sheet.legend_entries([scene(3, 10)], SCENE)
    assert [entry.name for entry in absent] == ["sky", "tree"]


def test_the_legend_names_ids_without_a_class():
    ids = np.array([[255, 77, 77, 0]], np.uint8)
    picture = Picture(title="a", image=gray_image(1, 4), label_map=ids)
    label_map = LabelMap(semantic_classes=CLASSES, ignore_id=255)
    entries = sheet.legend_entries([picture], label_map)
    assert [(e.name, e.color, e.share, e.is_ignored) for e in entries] == [
        ("sky", BLUE, 0.25, False),
        ("id 77, no class", (0, 0, 0), 0.5, False),
        ("id 255, no class", draw.IGNORED_COLOR, 0.25, True),
    ]


def test_the_legend_counts_objects_in_the_order_of_the_label_map():
    names = ("bus", "car", "dog")
    label_map = LabelMap.from_dict({name: i + 1 for i, name in enumerate(names)})
    objects = tuple(thing((0, 0, 1, 1), name=n) for n in ("dog", "ufo", "bus", "dog"))
    picture = Picture(title="a", image=gray_image(2, 2), objects=objects)
    entries = sheet.legend_entries([picture, picture], label_map)
    assert [(e.name, e.num_objects, e.share) for e in entries] == [
        ("bus", 2, 0.0),
        ("dog", 4, 0.0),
        ("ufo", 2, 0.0),
    ]


def test_a_class_of_pixels_and_objects_is_one_legend_entry():
    picture = dataclasses.replace(scene(2, 2), objects=(thing((0, 0, 1, 1)),) * 3)
    picture = dataclasses.replace(
        picture, objects=(thing((0, 0, 1, 1), name="tree"), *picture.objects)
    )
    entries = sheet.legend_entries([picture], SCENE)
    assert [(e.name, e.share, e.num_objects) for e in entries] == [
        ("sky", 0.5, 0),
        ("tree", 0.5, 1),
        ("car", 0.0, 3),
    ]


def test_the_legend_of_pictures_without_annotations_is_empty():
    picture = Picture(title="a", image=gray_image(2, 2))
    assert sheet.legend_entries([picture], SCENE) == ()
    assert sheet.legend_entries([], SCENE) == ()


def test_a_grid_is_the_same_in_two_calls():
    pictures = [scene(30 + i, 40, str(i)) for i in range(9)]
    first, second = sheet.grid(pictures, SCENE), sheet.grid(pictures, SCENE)
    assert first.size == second.size
    assert first.tobytes() == second.tobytes()


def test_a_semantic_record_has_cells_for_image_classes_and_overlay():
    pixels = pixels_of(sheet.grid([scene()], SCENE, cell_width=80))
    assert pixels.shape[1] >= 3 * 80
    swatches = 12 * 12
    assert count_pixels(pixels, (100, 100, 100)) >= 80 * 60  # image
    assert count_pixels(pixels, BLUE) >= 80 * 30 + swatches  # sky
    assert count_pixels(pixels, GREEN) >= 80 * 30 + swatches
    assert count_pixels(pixels, (50, 50, 178)) >= 80 * 30  # sky over grey, half each


def test_scaling_a_label_map_invents_no_classes():
    label_map = halves(30, 40) * 2  # sky and void; the tree's id lies between
    picture = dataclasses.replace(scene(), label_map=label_map)
    pixels = pixels_of(sheet.grid([picture], SCENE, cell_width=95))
    assert count_pixels(pixels, (9, 8, 7)) > 95 * 30
    assert count_pixels(pixels, GREEN) == 0


def test_an_instance_record_has_cells_for_image_and_objects():
    box = (5, 5, 25, 35)
    item = thing(box, box_mask(30, 40, box))
    picture = Picture(title="a", image=gray_image(30, 40), objects=(item,))
    page = sheet.grid([picture], THINGS, cell_width=160)
    pixels = pixels_of(page)
    assert 2 * 160 <= page.width < 3 * 160
    assert count_pixels(pixels, (100, 100, 100)) >= 160 * 120
    assert count_pixels(pixels, (170, 55, 55)) >= 50 * 70  # mask, scaled four-fold


def test_a_record_with_both_has_four_cells():
    both = dataclasses.replace(scene(), objects=(thing((5, 5, 25, 35)),))
    widths = [
        sheet.grid([picture], SCENE, cell_width=160).width
        for picture in (scene(), both)
    ]
    assert widths[1] - widths[0] in range(160, 180)


def test_many_records_stand_side_by_side():
    few = sheet.grid([scene() for _ in range(2)], SCENE)
    many = sheet.grid([scene() for _ in range(9)], SCENE)
    assert many.width > 1.9 * few.width
    assert 1 < many.width / many.height < 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 1000)])
def test_tiny_and_extreme_images_fit_in_their_cells(shape):
    item = thing((0, 0, *shape), np.ones(shape, np.uint8))
    picture = dataclasses.replace(scene(*shape), objects=(item,))
    page = sheet.grid([picture, scene()], SCENE, cell_width=64)
    assert page.width < 64 * 4 + 100
    assert page.height < 400


@pytest.mark.parametrize(
    "title",
    ["", "x" * 100_000, "日本語/é\u0301/🚗", "a\nb\tc\0", "\ud800broken", "…" * 300],
)
def test_any_title_is_drawn_without_changing_the_layout(title):
    plain = sheet.grid([scene(title="plain")], SCENE)
    titled = sheet.grid([scene(title=title)], SCENE)
    assert titled.size == plain.size
    assert titled.tobytes() != plain.tobytes()


def test_a_long_title_keeps_its_beginning_and_its_end():
    titles = ["a" + "x" * 200 + "b", "a" + "x" * 999 + "b", "c" + "x" * 200 + "b"]
    titles.append("a" + "x" * 200 + "d")
    sheets = [sheet.grid([scene(title=t)], SCENE).tobytes() for t in titles]
    assert sheets[0] == sheets[1]
    assert len(set(sheets)) == 3


def test_a_grid_draws_300_classes_and_wraps_the_legend():
    colors = distinct_colors(300)
    classes = tuple(
        LabelClass(id=i + 1, name=f"class {i}", color=color)
        for i, color in enumerate(colors)
    )
    objects = tuple(
        thing((0, 0, 9, 9), name=item.name, color=item.color) for item in classes
    )
    picture = Picture(title="a", image=gray_image(10, 10), objects=objects)
    label_map = LabelMap(object_classes=classes)
    assert len(sheet.legend_entries([picture], label_map)) == 300
    page = sheet.grid([picture], label_map)
    assert page.width < 800
    counts = {color: n for n, color in page.getcolors(page.width * page.height)}
    assert all(counts.get(color, 0) >= 12 * 12 for color in colors)


def test_absent_classes_do_not_flood_the_legend():
    names = {f"class {i}": i for i in range(200)}
    picture = scene()
    few = LabelMap.from_dict({name: i for name, i in names.items() if i < 20})
    many = LabelMap.from_dict(names)
    sheets = [sheet.grid([picture], label_map) for label_map in (few, many)]
    assert sheets[0].size == sheets[1].size


def test_a_label_map_of_another_size_is_refused():
    picture = dataclasses.replace(scene(), label_map=halves(40, 30))
    with pytest.raises(OptionError, match=r"label map of 'a'.*expected 30x40"):
        sheet.grid([picture], SCENE)


def test_a_grid_of_nothing_or_of_absurd_cells_is_refused():
    with pytest.raises(OptionError, match="no records"):
        sheet.grid([], SCENE)
    for cell_width in (0, -1, 15, 4097):
        with pytest.raises(OptionError, match="cell_width"):
            sheet.grid([scene()], SCENE, cell_width=cell_width)


def test_pictures_without_annotations_are_shown_alone():
    picture = Picture(title="a", image=gray_image(30, 40))
    page = sheet.grid([picture], SCENE, cell_width=80)
    assert isinstance(page, Image.Image)
    assert 80 <= page.width < 160
    assert count_pixels(pixels_of(page), (100, 100, 100)) == 80 * 60


@pytest.mark.parametrize("name", ["Straße", "café", "żółw", "дорога", "δρόμος"])
def test_names_beyond_ascii_are_drawn_in_their_own_letters(name: str) -> None:
    drawn = draw.text_strip(name, 400, 16, draw.INK)
    for other in ("?" * len(name), "".join(c for c in name if c.isascii())):
        assert drawn.tobytes() != draw.text_strip(other, 400, 16, draw.INK).tobytes()
    apart = unicodedata.normalize("NFD", name)
    assert drawn.tobytes() == draw.text_strip(apart, 400, 16, draw.INK).tobytes()


@pytest.mark.parametrize("name", ["道", "\n", "\x1b", "\ud800"])
def test_letters_that_the_font_lacks_are_question_marks(name: str) -> None:
    drawn = draw.text_strip(name, 400, 16, draw.INK)
    assert drawn.tobytes() == draw.text_strip("?", 400, 16, draw.INK).tobytes()
