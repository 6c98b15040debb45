"""What the notebooks need at run time: checks, hints, claims, figures and the size switch."""

from .exercise import Law as Law
from .exercise import Slip as Slip
from .exercise import check as check
from .exercise import exercise as exercise
from .exercise import hint as hint
from .exercise import solution as solution
from .exercise import todo as todo
from .notebook import animate as animate
from .notebook import claim as claim
from .notebook import pick as pick
from .notebook import progress as progress
from .notebook import setup as setup
from .notebook import show as show
from .notebook import size as size
from .notebook import slider as slider
