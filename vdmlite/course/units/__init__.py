"""Built from solutions/*.py: what `check`, `hint` and `solution` read. Do not edit."""
