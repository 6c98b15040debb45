"""vdmlite: Variational Diffusion Models (Kingma, Salimans, Poole and Ho 2021) in Equinox.

Functions take single examples (`jax.vmap` makes batches), noise levels are γ = −log SNR, losses
are nats. Each file imports only from those before it; read them in this order:

    gaussian, process, schedule      what noise does to an example
    prediction, decoder, denoiser    what is guessed, and how data becomes numbers and back
    model, bound                     the model, and what it pays for an example
    gradient, training               descending it
    evaluation, curve                measuring it
    sampling                         drawing from it
    data, nn, recipes, storage       data, networks, models ready to train, files
"""

from . import data as data
from . import nn as nn
from . import recipes as recipes
from .bound import VLB as VLB
from .bound import batch_vlb as batch_vlb
from .bound import bits_per_dim as bits_per_dim
from .bound import continuous_diffusion_loss as continuous_diffusion_loss
from .bound import discrete_diffusion_loss as discrete_diffusion_loss
from .bound import prior_loss as prior_loss
from .bound import reconstruction_loss as reconstruction_loss
from .bound import spread_times as spread_times
from .bound import squared_error as squared_error
from .bound import vlb as vlb
from .curve import ErrorCurve as ErrorCurve
from .curve import error_curve as error_curve
from .decoder import AbstractDecoder as AbstractDecoder
from .decoder import GaussianDecoder as GaussianDecoder
from .decoder import LevelDecoder as LevelDecoder
from .denoiser import AbstractDenoiser as AbstractDenoiser
from .denoiser import EmpiricalDenoiser as EmpiricalDenoiser
from .denoiser import GaussianDenoiser as GaussianDenoiser
from .denoiser import MixtureDenoiser as MixtureDenoiser
from .denoiser import NetDenoiser as NetDenoiser
from .denoiser import from_level_logits as from_level_logits
from .evaluation import Estimate as Estimate
from .evaluation import Evaluation as Evaluation
from .evaluation import Terms as Terms
from .evaluation import compare_schedules as compare_schedules
from .evaluation import evaluate as evaluate
from .gaussian import Gaussian as Gaussian
from .gaussian import Mixture as Mixture
from .gaussian import kl as kl
from .gradient import training_gradient as training_gradient
from .model import VDM as VDM
from .prediction import Prediction as Prediction
from .prediction import from_eps as from_eps
from .prediction import from_score as from_score
from .prediction import from_v as from_v
from .prediction import from_x as from_x
from .process import alpha as alpha
from .process import alpha2 as alpha2
from .process import marginal as marginal
from .process import posterior as posterior
from .process import sigma as sigma
from .process import sigma2 as sigma2
from .process import snr as snr
from .process import transition as transition
from .sampling import DDIM as DDIM
from .sampling import AbstractStep as AbstractStep
from .sampling import Ancestral as Ancestral
from .sampling import draw as draw
from .sampling import sample as sample
from .sampling import walk as walk
from .schedule import AbstractSchedule as AbstractSchedule
from .schedule import BetaLinear as BetaLinear
from .schedule import Cosine as Cosine
from .schedule import FixedLinear as FixedLinear
from .schedule import FlowMatching as FlowMatching
from .schedule import Karras as Karras
from .schedule import LearnedLinear as LearnedLinear
from .schedule import MonotoneNet as MonotoneNet
from .schedule import PiecewiseLinear as PiecewiseLinear
from .storage import load as load
from .storage import read_meta as read_meta
from .storage import save as save
from .training import TrainState as TrainState
from .training import apply_gradient as apply_gradient
from .training import init as init
from .training import train as train
from .training import train_step as train_step
