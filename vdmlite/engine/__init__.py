"""The engine of long runs: data on disk, devices, checkpoints, the loop, the command line.

It stands beside the core, which imports nothing from here. Reading order: `published` (models
and weights), `settings`, `download` and `datasets`, `devices`, `batches`, `checkpoint`, `lock`,
`log`, `loop`, `figures`, `about`, `cli`.
"""

from .datasets.cifar10 import cifar10 as cifar10
from .datasets.cifar10 import cifar10_or_patches as cifar10_or_patches
from .datasets.cifar10 import fetch_cifar10 as fetch_cifar10
from .datasets.imagenet import Variant as Variant
from .datasets.imagenet import imagenet as imagenet
from .loop import Pace as Pace
from .loop import load as load
from .loop import run as run
from .published import from_published as from_published
from .published import to_published as to_published
from .settings import RECIPES as RECIPES
from .settings import Settings as Settings
