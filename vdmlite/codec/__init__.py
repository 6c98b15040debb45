"""Lossless compression with a diffusion model: from a stack of bits to a file."""

from .archive import Archive as Archive
from .archive import ArchiveError as ArchiveError
from .archive import compress as compress
from .archive import decompress as decompress
from .archive import parse_archive as parse_archive
from .archive import read_archive as read_archive
from .laws import AbstractLaw as AbstractLaw
from .laws import Categories as Categories
from .laws import GridGaussian as GridGaussian
from .moves import Move as Move
from .moves import bb_ans as bb_ans
from .moves import bit_swap as bit_swap
from .moves import decode as decode
from .moves import encode as encode
from .moves import initial_bits as initial_bits
from .stack import Entry as Entry
from .stack import Stack as Stack
from .vdm import coding_gammas as coding_gammas
from .vdm import double_precision as double_precision
from .vdm import in_double as in_double
from .vdm import vdm_moves as vdm_moves
