"""Mask R-CNN (He, Gkioxari, Dollar, Girshick 2017) as one `keras.Model`.

The stream's dict goes in as it is. Of `segdata.read_instances(..., masks="crops",
boxes="pixels")` the model takes

- `image` `[b, h, w, 3] uint8`, `h` and `w` as in the options;
- `image_size` `[b, 2] int32`, `scale` and `offset` `[b, 2] float32`: which part of the
  canvas the image covers; boxes are cut to it. Without them: all of the canvas;

and to learn, besides,

- `boxes` `[b, g, 4] float32`, `ymin, xmin, ymax, xmax` in pixels of the canvas;
- `classes` `[b, g] int32`, 1 to C, `valid` `[b, g] bool`, `crowd` `[b, g] bool`,
  `has_mask` `[b, g] bool`;
- `masks` `[b, g, m, m] uint8`, 0 or 1, sampled over the boxes;
- `image_id` `[b] int64`, where it is given: images of -1 count for no metric.

Other keys are left alone, so that a step needs no preparation:

    model = build_mask_rcnn(MaskRCNNOptions(image_size=(640, 640), classes=80))
    model.compile(optimizer)
    model.fit(stream, validation_data=other)    # no y: the dict is x
    found = model.predict(stream)               # or model.detect(batch), one batch

`fit` logs `loss` and the parts `rpn_score`, `rpn_box`, `roi_class`, `roi_box`, `mask`
(`val_...` likewise). `predict` and `detect` give a dict of

- `boxes` `[b, d, 4] float32`, `ymin, xmin, ymax, xmax` in pixels of the canvas;
- `scores` `[b, d] float32`, falling, and `classes` `[b, d] int32`, 0 in empty slots;
- `masks` `[b, d, 28, 28] float32`, probabilities over the box: `pasting.paste_masks`
  brings them to an image.

Canvas to stored image: `(y - offset) / scale` (see `segdata.reader`).
"""
