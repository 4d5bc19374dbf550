"""Writes expectations.json: values of SciPy and statsmodels that the statistics tests compare with.

Run it in a virtual environment of its own, outside this repository:

    python3 -m venv VENV && VENV/bin/pip install --require-hashes -r domain/statistics/expectations/requirements.txt
    VENV/bin/python domain/statistics/expectations/make_expectations.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import scipy
import statsmodels
from scipy import special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_chisquare
from statsmodels.stats.weightstats import ztest

METHODS = [
    "bonferroni",
    "holm",
    "hommel",
    "simes-hochberg",
    "sidak",
    "holm-sidak",
    "fdr_bh",
    "fdr_by",
    "fdr_tsbh",
    "fdr_tsbky",
]


def special_functions() -> dict[str, list[list[float]]]:
    """Rows of arguments, the value last."""
    z_values = [-37.0, -8.0, -3.2, -1.96, -0.5, 0.0, 1e-9, 0.7, 1.0, 1.96, 5.0, 8.5, 20.0, 37.0]
    tails = [1e-300, 1e-50, 1e-12, 1e-6, 1e-3, 0.0125, 0.025, 0.05, 0.2, 0.5, 0.8, 0.975, 0.999, 1 - 1e-9]
    degrees = [1.0, 2.5, 7.0, 30.0, 123.4, 5000.0, 98000.5, 1e7]
    t_values = [-40.0, -2.0, -0.1, 0.0, 0.1, 1.0, 1.96, 5.0, 40.0]
    chi_degrees = [1.0, 2.0, 3.0, 10.0, 29.0, 100.0]
    chi_values = [1e-8, 0.1, 1.0, 5.0, 20.0, 100.0, 500.0]
    alphas = [[1.0, 1.0], [0.5, 3.5, 10.0], [10.0, 40.0, 50.0], [5e5, 4e5], [100.0, 2e6, 3.0, 7.0]]
    return {
        "normalCdf": [[z, float(stats.norm.cdf(z))] for z in z_values],
        "normalSurvival": [[z, float(stats.norm.sf(z))] for z in z_values],
        "normalDensity": [[z, float(stats.norm.pdf(z))] for z in z_values],
        "normalQuantile": [[p, float(stats.norm.ppf(p))] for p in tails],
        "studentSurvival": [[t, v, float(stats.t.sf(t, v))] for v in degrees for t in t_values],
        "studentQuantile": [[p, v, float(stats.t.ppf(p, v))] for v in degrees for p in tails[3:]],
        "chiSquareSurvival": [[x, k, float(stats.chi2.sf(x, k))] for k in chi_degrees for x in chi_values],
        "logMultivariateBeta": [
            [*alpha, float(np.sum(special.gammaln(alpha)) - special.gammaln(np.sum(alpha)))] for alpha in alphas
        ],
    }


def samples(rng: np.random.Generator) -> list[dict[str, object]]:
    """Pairs of samples with Welch's test, its one-sided forms, and the z-test with unequal variances."""
    cases: list[dict[str, object]] = []
    for control_size, treatment_size, shift in [(5, 7, 0.0), (40, 25, 0.8), (300, 280, 0.15), (12, 400, -2.0)]:
        control = np.round(rng.gamma(2.0, 3.0, control_size), 6)
        treatment = np.round(rng.gamma(2.0, 3.0, treatment_size) + shift, 6)
        both = stats.ttest_ind(treatment, control, equal_var=False)
        interval = both.confidence_interval(0.95)
        cases.append(
            {
                "control": control.tolist(),
                "treatment": treatment.tolist(),
                "estimate": float(treatment.mean() - control.mean()),
                "degreesOfFreedom": float(both.df),
                "interval": [float(interval.low), float(interval.high)],
                "twoSided": float(both.pvalue),
                "larger": float(stats.ttest_ind(treatment, control, equal_var=False, alternative="greater").pvalue),
                "smaller": float(stats.ttest_ind(treatment, control, equal_var=False, alternative="less").pvalue),
                "zTwoSided": float(ztest(treatment, control, usevar="unequal")[1])
                if control_size == treatment_size
                else float(
                    2
                    * stats.norm.sf(
                        abs(treatment.mean() - control.mean())
                        / np.sqrt(treatment.var(ddof=1) / treatment_size + control.var(ddof=1) / control_size)
                    )
                ),
            }
        )
    return cases


def covariates(rng: np.random.Generator) -> list[dict[str, object]]:
    """Pre-period and post-period values per unit, and what the CUPED adjustment of them is, computed unit by unit."""
    cases: list[dict[str, object]] = []
    for size in [30, 200]:
        pre = np.round(rng.gamma(2.0, 3.0, 2 * size), 6)
        post = np.round(0.7 * pre + rng.normal(3.0, 1.5, 2 * size), 6)
        theta = float(np.cov(post, pre)[0, 1] / np.var(pre, ddof=1))
        adjusted = post - theta * pre
        control, treatment = adjusted[:size], adjusted[size:]
        cases.append(
            {
                "pre": pre.tolist(),
                "post": post.tolist(),
                "size": size,
                "theta": theta,
                "estimate": float(treatment.mean() - control.mean()),
                "standardError": float(np.sqrt(treatment.var(ddof=1) / size + control.var(ddof=1) / size)),
            }
        )
    return cases


def proportions() -> list[dict[str, object]]:
    """Chi-square tests of two proportions."""
    cases: list[dict[str, object]] = []
    for successes, counts in [([40, 50], [100, 100]), ([3, 9], [40, 35]), ([5100, 5400], [100000, 100500])]:
        _, p_value, _ = proportions_chisquare(successes, counts)
        cases.append({"successes": successes, "counts": counts, "pValue": float(p_value)})
    return cases


def corrections(rng: np.random.Generator) -> list[dict[str, object]]:
    """Adjusted p-values and rejections of every method, with ties, a single test, and all or none rejected."""
    sets = [
        [0.03],
        [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216, 0.222, 0.251, 0.269, 0.275, 0.34],
        [0.01, 0.01, 0.01, 0.5, 0.5, 1.0],
        [1e-9, 1e-8, 1e-7],
        [0.6, 0.9, 0.7],
        np.round(rng.beta(0.4, 2.0, 40), 9).tolist(),
    ]
    cases: list[dict[str, object]] = []
    for p_values in sets:
        for alpha in [0.05, 0.2]:
            for method in METHODS:
                rejected, adjusted, _, _ = multipletests(p_values, alpha=alpha, method=method)
                cases.append(
                    {
                        "pValues": p_values,
                        "alpha": alpha,
                        "method": method,
                        "adjusted": [float(p) for p in adjusted],
                        "rejected": [bool(r) for r in rejected],
                    }
                )
    return cases


def sample_ratios() -> list[dict[str, object]]:
    """Chi-square goodness of fit."""
    cases: list[dict[str, object]] = []
    for observed, weights in [([1000, 1000], [1, 1]), ([870, 130], [9, 1]), ([505, 610, 3001], [0.1, 0.1, 0.6])]:
        expected = np.array(weights) / np.sum(weights) * np.sum(observed)
        cases.append(
            {"observed": observed, "weights": weights, "pValue": float(stats.chisquare(observed, expected).pvalue)}
        )
    return cases


def expected_parts() -> list[list[float]]:
    """Mean, deviation, E max(X, 0) and E max(-X, 0) of a normal variable, by numerical integration."""
    rows: list[list[float]] = []
    for mean, deviation in [(-0.1, 0.3), (0.0, 0.05), (0.02, 0.01), (1.5, 0.3), (-2.0, 1.0)]:
        positive = stats.norm.expect(lambda x: x, loc=mean, scale=deviation, lb=0.0)
        rows.append([mean, deviation, float(positive), float(positive - mean)])
    return rows


def main() -> None:
    """Writes the file beside this script; the same versions write the same bytes."""
    rng = np.random.default_rng(20240611)
    expectations = {
        "madeWith": {"numpy": np.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
        "specialFunctions": special_functions(),
        "samples": samples(rng),
        "covariates": covariates(rng),
        "proportions": proportions(),
        "corrections": corrections(rng),
        "sampleRatios": sample_ratios(),
        "expectedParts": expected_parts(),
    }
    path = Path(__file__).parent / "expectations.json"
    path.write_text(json.dumps(expectations, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
