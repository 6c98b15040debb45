"""Networks: they import the shape words alone, and nothing above them knows their names."""

from .conv import Conv as Conv
from .conv import ConvNet as ConvNet
from .fourier import fourier_features as fourier_features
from .fourier import gamma_features as gamma_features
from .fourier import sinusoids as sinusoids
from .mlp import MLP as MLP
from .unet import UNet as UNet
