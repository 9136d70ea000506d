from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segdata
from segdata.storage.local_path import LocalPath
from segdata.trainers.instances.detector import Detector, Found
from segdata.trainers.instances.pictures import draw_found
from segdata.trainers.instances.results import ObjectWriter
from segdata.trainers.run.data import ObjectClasses
from segdata.trainers.run.given import Given
from segdata.trainers.run.trained import PredictOptions

SIZE = (64, 96)


class RedThings:
    """Finds one box around what is red, in pixels of the canvas, as a model would."""

    options = SimpleNamespace(image_size=SIZE)

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.calls.append(len(batch["image"]))
        count = len(batch["image"])
        slots = {
            "boxes": np.zeros((count, 3, 4), np.float32),
            "scores": np.zeros((count, 3), np.float32),
            "classes": np.zeros((count, 3), np.int32),
            "masks": np.ones((count, 3, 28, 28), np.float32),
        }
        for index, image in enumerate(batch["image"]):
            y, x = np.nonzero((image[..., 0] > 128) & (image[..., 1] < 128))
            if len(y):
                slots["boxes"][index, 0] = y.min(), x.min(), y.max() + 1, x.max() + 1
                slots["scores"][index, 0] = 0.9
                slots["classes"][index, 0] = 2
        return slots


def picture(height: int, width: int, box: tuple[int, int, int, int]) -> np.ndarray:
    image = np.full((height, width, 3), 200, np.uint8)
    image[box[0] : box[2], box[1] : box[3]] = (255, 0, 0)
    return image


@pytest.mark.parametrize(
    ("height", "width"), [(64, 96), (128, 192), (200, 100), (50, 300), (30, 40)]
)
def test_objects_come_back_at_each_images_own_size(height: int, width: int) -> None:
    box = (height // 5, width // 4, height // 2, width - 3)
    [found] = Detector(RedThings(), 2).predict([picture(height, width, box)])
    assert (found.height, found.width) == (height, width)
    assert found.classes.tolist() == [2]
    pixel = max(height / SIZE[0], width / SIZE[1], 1)
    np.testing.assert_allclose(found.boxes[0], box, atol=pixel)
    [mask] = found.pasted()
    expected = np.zeros((height, width), np.uint8)
    expected[box[0] : box[2], box[1] : box[3]] = 1
    assert (mask & expected).sum() / (mask | expected).sum() > 0.85


def test_batches_are_always_full() -> None:
    model = RedThings()
    images = [picture(40, 60, (5, 5, 20, 20))] * 5
    assert len(Detector(model, 2).predict(images)) == 5
    assert model.calls == [2, 2, 2]
    assert Detector(model, 2).predict([]) == []


def test_image_without_objects_has_none() -> None:
    [found] = Detector(RedThings(), 1).predict([np.zeros((9, 7, 3), np.uint8)])
    assert found.boxes.shape == (0, 4)
    assert list(found.pasted()) == []


def of_scores(*scores: float) -> Found:
    count = len(scores)
    return Found(
        height=8,
        width=8,
        boxes=np.tile(np.asarray([1, 1, 7, 7], np.float32), (count, 1)),
        scores=np.asarray(scores, np.float32),
        classes=np.ones(count, np.int32),
        masks=np.ones((count, 4, 4), np.float32),
    )


def test_the_best_are_kept() -> None:
    found = of_scores(0.9, 0.5, 0.1, 0.05)
    assert found.best(50, 0.1).scores.tolist() == pytest.approx([0.9, 0.5, 0.1])
    assert found.best(2, 0.0).scores.tolist() == pytest.approx([0.9, 0.5])
    assert len(found.best(3, 0.95).masks) == 0


@pytest.mark.parametrize(
    ("least", "count", "said"),
    [
        (0.2, 2, ", 2 objects of score 0.2 or more"),
        (0.95, 0, "the highest score found is 0.92; try --min-score 0.92"),
    ],
)
def test_number_of_objects_is_told_with_the_threshold(
    drawn_coco: Path, tmp_path: LocalPath, least: float, count: int, said: str
) -> None:
    classes = ObjectClasses(label_map=segdata.open(drawn_coco).classes)
    options = PredictOptions(output=str(tmp_path), images=("a",), min_score=least)
    writer = ObjectWriter(classes, options, None)
    image = np.zeros((8, 8, 3), np.uint8)
    writer.add(Given(name="7", image=image), of_scores(0.92, 0.5, 0.1, 0.05))
    assert writer.finish().endswith(said)
    assert len(json.loads((tmp_path / "results.json").read_text())) == count


def test_nothing_found_at_all_is_told(drawn_coco: Path, tmp_path: Path) -> None:
    classes = ObjectClasses(label_map=segdata.open(drawn_coco).classes)
    options = PredictOptions(output=str(tmp_path), images=("a",))
    assert "0 objects of any score" in ObjectWriter(classes, options, None).finish()


def test_objects_are_drawn_in_their_classes_colours(drawn_coco: Any) -> None:
    classes = ObjectClasses(label_map=segdata.open(drawn_coco).classes)
    image = np.zeros((8, 8, 3), np.uint8)
    drawn = draw_found(image, of_scores(0.9), classes)
    np.testing.assert_array_equal(drawn[1, 1], classes.of(1).color)
    assert not drawn[0].any()
    assert drawn[4, 4].any()
    assert Image.fromarray(drawn).size == (8, 8)
