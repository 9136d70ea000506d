"""One serialized record -> the tensors a model wants, in graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from segdata.reading import color
from segdata.reading.decoding import GEOMETRY_DRAWS, PADDING_ID, Decoding
from segdata.reading.geometry import Geometry, Number, choose_geometry
from segdata.records import schema
from segdata.records.schema import Feature
from segdata.streams import label_maps, objects, order, parse, resample
from segdata.streams.index import RecordIndex
from segdata.streams.tensorflow import tf


@dataclass(frozen=True, kw_only=True)
class RecordDecoder(Decoding):
    """Decodes records alike: to one canvas, with one set of options."""

    index: RecordIndex
    """Where the records lie, to name them in messages."""

    def decode(self, serialized: tf.Tensor, draw: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes one record.

        Args:
          serialized: `[] string`.
          draw: `[] int64`, what the random numbers depend on besides the seed.
        """
        file = self.index.tensors.file_of(draw % order.EPOCH)
        record = parse.parse_features(serialized, self._wanted(), file)
        where = parse.record_name(record[schema.KEY], file)
        draws = self._draws(draw)
        geometry = choose_geometry(
            *self._stored_size(record),
            self.size,
            self.resize,
            self.augmentation,
            None if draws is None else draws[:GEOMETRY_DRAWS],
            tf,
        )
        result = {
            "image": self._image(record, geometry, draws),
            "image_id": record[schema.SOURCE_ID],
        }
        if self.with_geometry:
            size = [record[schema.HEIGHT], record[schema.WIDTH]]
            result["image_size"] = tf.stack(size)
            result["scale"], result["offset"] = geometry.affine()  # float64 as yet
        if self.padding_id is not None:
            result["label_map"] = self._label_map(record, geometry, where)
        if self.instances is not None:
            result |= objects.pack_objects(
                record, geometry, self.instances, self.keypoints, where
            )
        return result

    def finish(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Does for a whole batch at once what need not be done record by record."""
        batch = dict(batch)
        batch["image"] = self._scaled(batch["image"])
        batch["image_id"] = tf.strings.to_number(batch["image_id"], tf.int64)
        if self.with_geometry:
            batch["image_size"] = tf.cast(batch["image_size"], tf.int32)
            batch["scale"] = tf.cast(batch["scale"], tf.float32)
            batch["offset"] = tf.cast(batch["offset"], tf.float32)
        if self.instances is not None:
            batch = objects.unpack_objects(batch, self.size, self.instances)
        return batch

    def _scaled(self, image: tf.Tensor) -> tf.Tensor:
        """Gives images the dtype and scale that are asked for."""
        options = self.image
        if options.dtype == "uint8":
            return image
        image = tf.cast(image, tf.float32)
        if options.mean is not None and options.std is not None:
            factor = [1.0 / (255.0 * part) for part in options.std]
            pairs = zip(options.mean, options.std, strict=True)
            shift = [-mean / std for mean, std in pairs]
            image = image * factor + shift
        return tf.cast(image, options.dtype)

    def empty(self, spec: dict[str, tf.TensorSpec]) -> dict[str, tf.Tensor]:
        """What fills up a last batch: a black image without anything on it."""
        fills = {"image_id": str(PADDING_ID), "scale": 1}
        fills["label_map"] = self.padding_id or 0
        return {
            name: tf.fill(part.shape, tf.constant(fills.get(name, 0), part.dtype))
            for name, part in spec.items()
        }

    def _wanted(self) -> tuple[Feature, ...]:
        wanted = [schema.KEY, schema.ENCODED, schema.FORMAT, schema.SOURCE_ID]
        wanted += [schema.HEIGHT, schema.WIDTH]
        if self.padding_id is not None:
            wanted += [schema.LABEL_VALUES, schema.LABEL_LENGTHS]
        if self.instances is not None:
            wanted += objects.OBJECT_FEATURES
        if self.keypoints is not None:
            wanted += objects.KEYPOINT_FEATURES
        return tuple(wanted)

    def _draws(self, draw: tf.Tensor) -> tf.Tensor | None:
        """`[draws] float64` in [0, 1), or None where nothing is random."""
        if not self.is_random:
            return None
        return self.draws(draw // order.EPOCH, draw % order.EPOCH, tf)

    def _stored_size(self, record: dict[Feature, tf.Tensor]) -> tuple[Number, Number]:
        return self.stored_size or (record[schema.HEIGHT], record[schema.WIDTH])

    def _is_stored(self, geometry: Geometry) -> bool:
        """Whether the canvas is known to be the stored image, pixel by pixel."""
        axes = (geometry.rows, geometry.columns)
        # `is`: a random flip is a tensor, which cannot be compared while tracing.
        is_plain = all(axis.is_whole and axis.flipped is False for axis in axes)
        return is_plain and self.size == self.stored_size

    def _image(
        self,
        record: dict[Feature, tf.Tensor],
        geometry: Geometry,
        draws: tf.Tensor | None,
    ) -> tf.Tensor:
        encoded, kind = record[schema.ENCODED], record[schema.FORMAT]
        shown = resample.decode_shown(encoded, kind, geometry)
        recolor = None
        if draws is not None and self.augmentation.changes_colors:
            recolor = partial(
                color.jitter_colors,
                augmentation=self.augmentation,
                draws=draws[GEOMETRY_DRAWS:],
                ops=tf,
            )
        elif self._is_stored(geometry):
            return tf.ensure_shape(shown, (*self.size, 3))
        return resample.move_image(shown, geometry, self.image.pad_color, recolor)

    def _label_map(
        self, record: dict[Feature, tf.Tensor], geometry: Geometry, where: tf.Tensor
    ) -> tf.Tensor:
        runs = (record[schema.LABEL_VALUES], record[schema.LABEL_LENGTHS])
        if self._is_stored(geometry):
            return label_maps.decode_label_map(*runs, *self.size, where)
        assert self.padding_id is not None
        return resample.move_label_map(*runs, geometry, self.padding_id, where)
