"""Colours and metadata that Pillow alone would show wrongly, or refuse."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers.common.errors import PhotosError
from helpers.data import pixels
from helpers.data.decode import load_photo
from tests.data import pictures
from tests.data.pictures import chunk, icc_chunk, insert, text_chunk

EXACT = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def loaded(folder, mode, colour, icc, suffix="png", **options):
    """Return the first pixel of a one-coloured photo, as it is loaded."""
    Image.new(mode, (8, 8), colour).save(folder / f"a.{suffix}", icc_profile=icc, **options)
    photo = load_photo(folder / f"a.{suffix}")
    assert photo.mode == "RGB"
    assert "icc_profile" not in photo.info  # a copy that is saved must not be converted again
    return photo.getpixel((0, 0))


@pytest.mark.parametrize(
    ("mode", "colour", "icc", "expected"),
    [
        ("RGB", (234, 51, 35), pictures.rgb_profile(), (255, 0, 0)),  # sRGB's red in P3
        ("RGB", (219, 0, 0), pictures.rgb_profile(pictures.ADOBE), (255, 0, 0)),  # and in Adobe RGB
        ("RGBA", (234, 51, 35, 0), pictures.rgb_profile(), (255, 255, 255)),
        ("RGBA", (234, 51, 35, 255), pictures.rgb_profile(), (255, 0, 0)),
        ("L", 55, pictures.grey_profile(), (128, 128, 128)),  # linear light
        ("L", 55, pictures.rgb_profile(gamma=1.0), (128, 128, 128)),
        ("LA", (55, 255), pictures.grey_profile(), (128, 128, 128)),
        ("LA", (55, 0), pictures.grey_profile(), (255, 255, 255)),
    ],
)
def test_colours_are_converted_to_srgb(tmp_path, mode, colour, icc, expected):
    assert loaded(tmp_path, mode, colour, icc) == pytest.approx(expected, abs=2)


def test_16_bits_are_converted(tmp_path):
    Image.fromarray(np.uint16([[0, 55 * 257, 65535]])).save(tmp_path / "a.png", icc_profile=pictures.grey_profile())
    assert np.asarray(load_photo(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 128, 255]


def test_a_palette_is_converted_and_keeps_its_transparency(tmp_path):
    photo = Image.new("P", (4, 4), 0)
    photo.putpalette([234, 51, 35, 0, 255, 0])
    photo.putpixel((0, 0), 1)
    photo.save(tmp_path / "a.png", transparency=1, icc_profile=pictures.rgb_profile())
    found = load_photo(tmp_path / "a.png")
    assert found.getpixel((2, 2)) == pytest.approx((255, 0, 0), abs=2)
    assert found.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_inks_are_converted(tmp_path, suffix):
    """Pillow alone would show this press's pale green as (0, 255, 255)."""
    found = loaded(tmp_path, "CMYK", (255, 0, 0, 0), pictures.cmyk_profile(), suffix)
    assert found == pytest.approx((36, 223, 196), abs=4)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif", "tif", "png"])
def test_profiles_are_found_in_every_format(tmp_path, suffix):
    options = {} if suffix in ("tif", "png") else {"quality": 100}
    found = loaded(tmp_path, "RGB", (234, 51, 35), pictures.rgb_profile(), suffix, **options)
    assert found == pytest.approx((255, 0, 0), abs=6)


@pytest.mark.parametrize(
    "icc",
    [
        EXACT,
        pictures.rgb_profile(pictures.SRGB, "sRGB"),
        b"no profile",
        EXACT[: len(EXACT) // 2],
        pictures.rgb_profile(gamma=0.1),
        pictures.rgb_profile(gamma=30.0),
        pictures.rgb_profile(((0, 0, 0),) * 3),
        pictures.rgb_profile((pictures.P3[0],) * 3),
        pictures.grey_profile(),
        pictures.cmyk_profile(),
        pictures.rgb_profile() + bytes(pixels.MAX_PROFILE),
    ],
    ids=[
        "sRGB",
        "nearly sRGB",
        "text",
        "half",
        "all white",
        "all black",
        "no light",
        "red",
        "of grey",
        "of inks",
        "huge",
    ],
)
def test_pixels_stay_as_they_are_where_a_profile_is_srgb_or_nonsense(tmp_path, icc):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.tif", icc_profile=icc)
    photo = load_photo(tmp_path / "a.tif")
    assert np.array_equal(np.asarray(photo), values)
    assert "icc_profile" not in photo.info


def test_threads_share_a_conversion(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png", icc_profile=pictures.rgb_profile())
    alone = np.asarray(load_photo(tmp_path / "a.png"))
    assert np.abs(alone.astype(int) - values).mean() > 3
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(each, alone) for each in pool.map(load_photo, [tmp_path / "a.png"] * 16))


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize(
    "chunks",
    [
        [text_chunk(bytes(3_000_000))],
        [text_chunk(bytes(10_000_000))] * 8,
        [chunk(b"tEXt", b"a\0b")[:-4] + b"none"],  # a damaged checksum
        [chunk(b"gAMA", b"a")],
    ],
    ids=["3 MB", "8 times 10 MB", "damaged", "short"],
)
def test_what_surrounds_the_pixels_of_a_png_does_not_hide_them(tmp_path, chunks, before):
    Image.new("RGB", (8, 8), (234, 51, 35)).save(tmp_path / "a.png", icc_profile=pictures.rgb_profile())
    insert(tmp_path / "a.png", *chunks, before=before)
    assert load_photo(tmp_path / "a.png").getpixel((4, 4)) == pytest.approx((255, 0, 0), abs=2)


def test_of_a_palette_with_much_text_colours_and_transparency_are_kept(tmp_path):
    photo = Image.new("P", (4, 4), 0)
    photo.putpalette([200, 50, 30, 0, 255, 0])
    photo.putpixel((0, 0), 1)
    photo.save(tmp_path / "a.png", transparency=1)
    insert(tmp_path / "a.png", text_chunk(bytes(20_000_000)))
    found = load_photo(tmp_path / "a.png")
    assert (found.getpixel((0, 0)), found.getpixel((2, 2))) == ((255, 255, 255), (200, 50, 30))


def test_a_profile_of_megabytes_is_applied_and_a_bomb_is_not(tmp_path):
    for size, expected in ((2_000_000, (255, 0, 0)), (20_000_000, (234, 51, 35))):
        Image.new("RGB", (8, 8), (234, 51, 35)).save(tmp_path / "a.png")
        insert(tmp_path / "a.png", icc_chunk(pictures.rgb_profile() + bytes(size)))
        assert load_photo(tmp_path / "a.png").getpixel((4, 4)) == pytest.approx(expected, abs=2)


def test_a_bomb_among_the_metadata_takes_no_memory(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "a.png", exif=exif)
    insert(tmp_path / "a.png", text_chunk(bytes(100_000_000)))
    tracemalloc.start()
    try:
        assert load_photo(tmp_path / "a.png").size == (4, 8)  # still upright
        assert tracemalloc.get_traced_memory()[1] < 64_000_000
    finally:
        tracemalloc.stop()


def test_a_cut_png_is_not_mended(tmp_path):
    pictures.PICTURES["2 MB of text"](tmp_path)
    content = (tmp_path / "a.png").read_bytes()
    for share in (0.3, 0.6, 0.95):
        (tmp_path / "a.png").write_bytes(content[: int(share * len(content))])
        with pytest.raises(PhotosError, match=r"a\.png is not a readable photo"):
            load_photo(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_bits_of_a_camera_are_scaled_to_white(tmp_path, bits, suffix):
    values = np.linspace(0, 2**bits - 1, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    found = np.asarray(load_photo(tmp_path / f"a.{suffix}"))[..., 0].ravel()
    np.testing.assert_allclose(found, np.arange(256), atol=1)


def test_a_dark_photo_of_16_bits_stays_dark(tmp_path):
    Image.fromarray(np.full((4, 4), 20_000, np.uint16)).save(tmp_path / "a.png")
    assert load_photo(tmp_path / "a.png").getpixel((0, 0)) == (78, 78, 78)


@pytest.mark.parametrize("values", [np.uint16([0, 1000, 65535]), np.float32([0, 0.0153, 1])])
def test_white_is_zero_where_a_tiff_says_so(tmp_path, values):
    Image.fromarray(values.reshape(1, 3)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    found = load_photo(tmp_path / "a.tif")
    assert [found.getpixel((x, 0))[0] for x in range(3)] == [255, 251, 0]


def test_fractions_may_exceed_1_a_little(tmp_path):
    Image.fromarray(np.float32([[0, 0.5, 1, 1.2]])).save(tmp_path / "a.tif")
    assert np.asarray(load_photo(tmp_path / "a.tif"))[0, :, 0].tolist() == [0, 128, 255, 255]


def test_transparent_grey_of_16_bits_lies_on_white(tmp_path):
    Image.fromarray(np.uint16([[0, 300, 65535]])).save(tmp_path / "a.png", transparency=300)
    assert np.asarray(load_photo(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 255, 255]
