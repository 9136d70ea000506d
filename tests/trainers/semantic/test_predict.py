from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import segdata
from segdata.commands.predict import predict as command
from segdata.errors import ImageError, OptionError
from segdata.trainers.models import inference_model
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.run.export import export_model
from segdata.trainers.run.given import find_images
from segdata.trainers.run.predict import predict
from segdata.trainers.run.trained import PredictOptions
from segdata.trainers.semantic.predictor import load_predictor


def options(output: Path, *images: Path, **changes: Any) -> PredictOptions:
    return PredictOptions(output=str(output), images=tuple(map(str, images)), **changes)


def predictor_of(run: Path) -> Any:
    directory = RunDirectory(run)
    return load_predictor(directory, directory.load(), "best", 2)


def files_of(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))


def test_images_get_label_maps_of_their_own_sizes_and_overlays(
    trained: Path, camvid_source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    first, second = sorted((camvid_source / "val").iterdir())[:2]
    with Image.open(first) as image:
        image.resize((50, 70)).save(folder / "a.jpg", quality=95)
    with Image.open(second) as image:
        image.convert("L").save(folder / "deeper/grey.png")
    (folder / "notes.txt").write_text("no image")

    assert predict(trained, options(tmp_path / "out", folder)) == (2, "")
    assert files_of(tmp_path / "out") == [
        "a-overlay.jpg",
        "a.png",
        "deeper/grey-overlay.jpg",
        "deeper/grey.png",
    ]
    label_map = segdata.RecordSource(
        RunDirectory(trained).load().dataset["directory"], "val"
    ).manifest.label_map
    for name, source in [("a", folder / "a.jpg"), ("deeper/grey", second)]:
        with Image.open(tmp_path / f"out/{name}.png") as found:
            assert found.mode == "P"
            ids = np.asarray(found)
            colors = np.asarray(found.convert("RGB"))
        with Image.open(folder / f"{name}.jpg" if name == "a" else source) as image:
            pixels = np.asarray(
                image.convert("L" if name != "a" else "RGB").convert("RGB")
            )
        assert ids.shape == pixels.shape[:2]
        np.testing.assert_array_equal(ids, predictor_of(trained).predict([pixels])[0])
        palette = {item.id: item.color for item in label_map.semantic_classes}
        for class_id in np.unique(ids):
            assert (colors[ids == class_id] == palette[class_id]).all()


def test_labels_of_no_image_are_refused(
    trained: Path, camvid_source: Path, tmp_path: Path
) -> None:
    first = sorted((camvid_source / "val").iterdir())[0]
    for folder in (tmp_path, tmp_path / "nowhere"):
        given = options(tmp_path / "out", first, labels=str(folder))
        with pytest.raises(
            OptionError, match=f"any image in .*, such as .*{first.stem}"
        ):
            predict(trained, given)
    assert not (tmp_path / "out").exists()


def test_known_labels_give_triples_with_scores(
    trained: Path,
    camvid_source: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    images, labels = camvid_source / "val", tmp_path / "labels"
    labels.mkdir()
    first, second, *_ = sorted(images.iterdir())
    annotated = camvid_source / "valannot" / first.name
    (labels / first.name).write_bytes(annotated.read_bytes())
    given = options(tmp_path / "out", first, second, labels=str(labels))
    with caplog.at_level("WARNING"):
        assert predict(trained, given) == (2, "")
    assert f"for 1 of 2 images ({second.stem}): they get no scores" in caplog.text
    triples = sorted((tmp_path / "out").glob("*-triple.png"))
    assert [path.name for path in triples] == [f"{first.stem}-triple.png"]
    with Image.open(triples[0]) as picture:
        assert picture.width > 3 * 360


def test_split_is_predicted_with_its_labels(
    trained: Path, camvid_build: Path, tmp_path: Path
) -> None:
    given = PredictOptions(output=str(tmp_path / "out"), split="val", batch_size=5)
    assert predict(trained, given) == (12, "")
    keys = segdata.RecordSource(camvid_build, "val").keys
    assert files_of(tmp_path / "out") == sorted(
        f"{key}{ending}"
        for key in keys
        for ending in (".png", "-overlay.jpg", "-triple.png")
    )


def test_image_that_is_broken_is_named_after_those_before_are_written(
    trained: Path, camvid_source: Path, tmp_path: Path
) -> None:
    good = sorted((camvid_source / "val").iterdir())[0]
    (tmp_path / "broken.png").write_bytes(good.read_bytes()[:500])
    given = options(tmp_path / "out", good, tmp_path / "broken.png")
    with pytest.raises(ImageError, match=r"broken.png.* PNG ends after 500 bytes"):
        predict(trained, given)
    assert (tmp_path / "out" / f"{good.stem}.png").is_file()


def test_labels_that_do_not_fit_are_refused(
    trained: Path, camvid_source: Path, tmp_path: Path
) -> None:
    image = sorted((camvid_source / "val").iterdir())[0]
    label = tmp_path / f"{image.stem}.png"
    given = options(tmp_path / "out", image, labels=str(tmp_path))
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(label)
    with pytest.raises(ImageError, match=r"does not fit: expected .* 360x480"):
        predict(trained, given)
    Image.fromarray(np.full((360, 480), 77, np.uint8)).save(label)
    with pytest.raises(
        ImageError, match=r"has the values \[77\]: expected class ids 0 "
    ):
        predict(trained, given)


def test_images_that_are_missing_or_collide_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no images in .*: expected files of .*.jpg"):
        find_images([str(tmp_path)])
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(OptionError, match=r"would both become a: predict"):
        find_images([str(tmp_path)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"give images, or --split, or --export \(one of them\)"),
        ({"images": ("a.png",), "split": "val"}, "give images, or --split"),
        ({"split": "val", "labels": "folder"}, "a split has its own"),
        ({"images": ("a.png",), "batch_size": 0}, "batch_size is 0"),
        ({"images": ("a.png",), "max_boxes": 0}, "max_boxes is 0 and min_score 0.1"),
        ({"images": ("a.png",), "min_score": 2}, "max_boxes is 50 and min_score 2"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        PredictOptions(output="out", **changes)


def test_exported_models_give_the_same_logits(trained: Path, tmp_path: Path) -> None:
    import keras

    from segdata.streams.tensorflow import tf

    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)
    expected = np.asarray(predictor_of(trained).models[0](pixels, training=False))
    export_model(trained, "keras", str(tmp_path / "model.keras"))
    model = inference_model(keras.saving.load_model(tmp_path / "model.keras"))
    np.testing.assert_allclose(model(pixels, training=False), expected, atol=1e-6)
    export_model(trained, "saved-model", str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(tf.constant(pixels)), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:In the future .np.:FutureWarning")  # tf2onnx
def test_exported_onnx_gives_the_same_logits(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx", reason="needs the extra 'onnx'")
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs what was exported")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)
    expected = np.asarray(predictor_of(trained).models[0](pixels, training=False))
    file = tmp_path / "model.onnx"
    export_model(trained, "onnx", str(file))
    session = onnxruntime.InferenceSession(file)
    [given] = session.get_inputs()
    assert (given.type, given.shape[1:]) == ("tensor(uint8)", [32, 48, 3])
    [found] = session.run(None, {given.name: pixels})
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_command_predicts_and_says_how_many(trained: Path, camvid_source: Path) -> None:
    image = sorted((camvid_source / "val").iterdir())[0]
    result = CliRunner().invoke(command, [str(trained), str(image)])
    assert result.exit_code == 0, result.output
    assert result.output.endswith("predictions: 1 images\n")
    assert (trained / f"predictions/{image.stem}.png").is_file()


def test_command_exports_only(trained: Path) -> None:
    result = CliRunner().invoke(command, [str(trained), "a.png", "--export", "onnx"])
    assert isinstance(result.exception, OptionError)
    assert "--export writes the model" in str(result.exception)
