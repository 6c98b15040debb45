"""The systems around VDM that the lessons visit, each a file of its own upon the core.

Import the file that you need: `from vdmlite.neighbours import few_steps`. `ode` needs
diffrax (`pip install "vdmlite[ode]"`), `bit_swap` and `local_bits_back` constriction
(`pip install "vdmlite[codec]"`).
"""
