"""Opening an image file with Pillow, and what is said where that fails."""

from __future__ import annotations

import io
import warnings

from PIL import Image, UnidentifiedImageError

from segdata.errors import ImageError
from segdata.images.orientation import load_noting_turn
from segdata.images.png import PNG_SIGNATURE, without_metadata

MAX_IMAGE_PIXELS = 1 << 27  # 11585 x 11585: a larger header is a bomb or a mistake

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "TGA")
"""What Pillow may take a file for. Others of its decoders run programs (PostScript) or
are hardly tried by anybody."""


def open_image(data: bytes, name: str, *, what: str = "image") -> Image.Image:
    """Decodes an image in Pillow's own mode for it.

    Args:
      data: The whole file.
      name: For messages.
      what: What it is called in messages.

    Raises:
      ImageError: If it cannot be decoded, or is too large.
    """
    if data.startswith(PNG_SIGNATURE):
        data = without_metadata(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF or palettes: pixels are fine
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise too_large(name, f"{image.height}x{image.width}", what=what)
            load_noting_turn(image)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # its own, higher limit comes first
        raise too_large(name, "far too many", what=what) from error
    except UnidentifiedImageError as error:
        detail = f"expected one of {', '.join(FORMATS)}"
        raise undecodable(name, detail, what=what) from error
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError and more
        detail = str(error).split(" <_io.")[0] or type(error).__name__
        raise undecodable(name, detail, what=what) from error
    return image


def too_large(name: str, pixels: str, *, what: str = "image") -> ImageError:
    """The error for an image of more than `MAX_IMAGE_PIXELS`."""
    return ImageError(
        f"{what} {name!r} claims {pixels} pixels: at most {MAX_IMAGE_PIXELS} are "
        "accepted. Scale it down or cut it into tiles.",
        reason=f"{what.replace(' ', '-')}-too-large",
    )


def undecodable(name: str, detail: str, *, what: str = "image") -> ImageError:
    """The error for a file that is damaged or no image."""
    return ImageError(
        f"{what} {name!r} cannot be decoded: {detail}. Replace the file.",
        reason=f"{what.replace(' ', '-')}-undecodable",
    )
