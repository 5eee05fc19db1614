"""The noise study: what wrong labels in pre-training do to a model's users.

`python -m benchmarks.study --size tiny` pre-trains small encoders on labels of which a known share
is wrong, adapts each of them to a downstream task in eight ways, and judges by rule what the papers
say: noise of 5 to 10 % helps in domain, any noise hurts out of domain, and SVE and LSVR tell so.
Heads, losses, spectra and statistics are those of `nmtune`. docs/inside/study.md has the results.
"""
