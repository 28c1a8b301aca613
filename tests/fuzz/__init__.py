"""Coverage-guided fuzzing of everything that reads what strangers wrote: `scripts/fuzz --help`.

`TARGETS` names what is fed with bytes; `corpora/NAME/` keeps small inputs that reach different places of it, and every
one that was ever a fault. `test_corpora.py` feeds all of them again in every run of the tests.
"""
