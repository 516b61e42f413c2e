"""Photos of every kind become what a person would expect to see, or an error that names them."""

import contextlib
import gc
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from helpers.common.errors import PhotosError
from helpers.data import decode, pixels


def left_red_right_blue(size=(8, 4)):
    photo = Image.new("RGB", size, "blue")
    photo.paste("red", (0, 0, size[0] // 2, size[1]))
    return photo


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    """Stored as a camera held so would store it, each is seen upright again."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation → the transposition that stores it
    photo = left_red_right_blue()
    stored = photo.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else photo
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(np.asarray(decode.load_photo(tmp_path / "a.png")), np.asarray(photo))


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("LA", (0, 0), (255, 255, 255)),
        ("I;16", 32768, (128, 128, 128)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 3000, (187, 187, 187)),  # as 16 bits it would be nearly black: it is 12 bits of a camera
    ],
)
def test_modes_become_rgb(tmp_path, mode, colour, expected):
    Image.new(mode, (4, 4), colour).save(tmp_path / "a.png")
    photo = decode.load_photo(tmp_path / "a.png")
    assert photo.mode == "RGB"
    assert photo.getpixel((1, 1)) == pytest.approx(expected, abs=1)


def test_cmyk_keeps_its_colours(tmp_path):
    Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert decode.load_photo(tmp_path / "a.jpg").getpixel((8, 8)) == pytest.approx((200, 30, 40), abs=6)


def test_a_palette_with_transparency_lies_on_white(tmp_path):
    photo = Image.new("P", (4, 4), 0)
    photo.putpalette([255, 0, 0, 0, 255, 0])
    photo.putpixel((0, 0), 1)
    photo.save(tmp_path / "a.png", transparency=0)
    loaded = decode.load_photo(tmp_path / "a.png")
    assert (loaded.getpixel((0, 0)), loaded.getpixel((2, 2))) == ((0, 255, 0), (255, 255, 255))


def test_of_an_animation_the_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert decode.load_photo(tmp_path / "a.gif").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("jpg", {}),
        ("jpg", {"progressive": True}),
        ("png", {}),
        ("webp", {}),
        ("avif", {}),
        ("gif", {}),
        ("bmp", {}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
    ],
)
def test_a_truncated_photo_is_refused_by_name(tmp_path, noise_photo, share, suffix, options):
    noise_photo.save(tmp_path / f"whole.{suffix}", **options)
    content = (tmp_path / f"whole.{suffix}").read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(content[: int(share * len(content))])
    with pytest.raises(PhotosError, match=rf"cut\.{suffix} is not a readable photo"):
        decode.load_photo(tmp_path / f"cut.{suffix}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b"these are words", "not a known image format"), (None, "does not exist")],
)
def test_files_that_are_no_photos_are_refused_with_the_reason(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(PhotosError, match=rf"a\.jpg.*{reason}"):
        decode.load_photo(tmp_path / "a.jpg")


def test_a_decompression_bomb_is_refused_unopened(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_PIXELS", 1000)
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with pytest.raises(PhotosError, match="40 × 30 is more than 1,000 pixels"):
        decode.load_photo(tmp_path / "a.png")


def test_a_line_is_refused_before_it_is_scaled_up(tmp_path):
    Image.new("RGB", (510, 10)).save(tmp_path / "a.png")
    with pytest.raises(PhotosError, match="510 × 10 px is a line, not a photo"):
        decode.load_photo(tmp_path / "a.png")


def test_large_photos_follow_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "LARGE", 100)
    sides, seen = [20, 4, 30, 5], []
    for side in sides:
        Image.new("RGB", (side, side)).save(tmp_path / f"{side}.png")
    decode.decode_each(
        [(side, tmp_path / f"{side}.png") for side in sides],
        lambda row, photo: seen.append((row, threading.current_thread() is threading.main_thread())),
    )
    assert sorted(seen[:2]) == [(4, False), (5, False)]
    assert seen[2:] == [(20, True), (30, True)]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (np.int32, [0, 32768, 65535, 514], [0, 128, 255, 2]),
        (np.int32, [0, 500_000, 1_000_000, 2_000_000], [0, 64, 128, 255]),
        (np.float32, [0, 0.5, 1, -3], [0, 128, 255, 0]),
        (np.float32, [0, 32768, 65535, np.nan], [0, 128, 255, 0]),
    ],
)
def test_greyscale_of_many_bits_is_scaled_not_cut_off(tmp_path, kind, values, expected):
    Image.fromarray(np.array(values, kind).reshape(2, 2)).save(tmp_path / "a.tiff")
    assert np.asarray(decode.load_photo(tmp_path / "a.tiff"))[..., 1].ravel().tolist() == expected


def test_a_photo_with_damaged_exif_is_still_a_photo(tmp_path):
    Image.new("RGB", (4, 3), "red").save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05garbage")
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        assert decode.load_photo(tmp_path / "a.jpg").size == (4, 3)


def test_a_phone_photo_of_several_pictures_is_its_first(tmp_path):
    Image.new("RGB", (8, 8), "red").save(
        tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")]
    )
    assert decode.load_photo(tmp_path / "a.jpg").getpixel((4, 4)) == pytest.approx((254, 0, 0), abs=2)


def test_what_only_bears_the_name_of_a_photo_is_not_executed(tmp_path):
    """A PostScript program named .jpg must not reach Ghostscript."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    with pytest.raises(PhotosError, match="not a known image format"):
        decode.load_photo(tmp_path / "a.jpg")


def test_a_folder_named_like_a_photo_is_refused(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(PhotosError, match=r"a\.jpg is not a readable photo: not a file"):
        decode.load_photo(tmp_path / "a.jpg")


def test_files_are_closed(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", tmp_path / "cut.png"):
        if path.name == "cut.png":
            path.write_bytes((tmp_path / "a.png").read_bytes()[:40])
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            with contextlib.suppress(PhotosError):
                decode.load_photo(path)
            gc.collect()
