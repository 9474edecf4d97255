"""The scores of backbones, against independent ways to compute them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

from headstart.transferability import h_score, log_me

Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Score = Callable[[npt.NDArray[Any], Rows], float]


def features(images: int, width: int, apart: float, seed: int = 0) -> tuple[Doubles, Rows]:
    """Features of three classes whose means lie apart, and labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    means = random.normal(0, apart, (3, width))
    return random.normal(0, 1, (images, width)) + means[labels], labels


def evidence(values: Doubles, target: Doubles) -> float:
    """The largest log marginal likelihood, by image, of targets drawn from a Gaussian process."""
    kernel = values @ values.T

    def negative(logs: Doubles) -> float:
        covariance = kernel * np.exp(logs[0]) + np.eye(len(target)) * np.exp(logs[1])
        return -float(multivariate_normal.logpdf(target, cov=covariance))

    found = minimize(negative, [-1.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-6})
    return -float(found.fun) / len(target)


@pytest.mark.parametrize(("images", "width"), [(60, 8), (30, 50)])
@pytest.mark.parametrize("apart", [0.0, 0.3, 2.0])
def test_log_me_is_the_largest_evidence(images: int, width: int, apart: float) -> None:
    values, labels = features(images, width, apart)
    expected = np.mean([evidence(values, (labels == one).astype(float)) for one in range(3)])
    assert log_me(values, labels) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("images", "width"), [(600, 8), (40, 60)])
def test_h_score_is_the_trace(images: int, width: int) -> None:
    values, labels = features(images, width, 0.5)
    model = LedoitWolf().fit(values)
    means = np.stack([values[labels == one].mean(axis=0) for one in range(3)])
    between = np.cov(means[labels], rowvar=False, bias=True)
    expected = np.trace(np.linalg.pinv(model.covariance_) @ ((1 - model.shrinkage_) * between))
    assert h_score(values, labels) == pytest.approx(expected, rel=1e-6)


def test_h_score_of_many_images_is_that_of_bao() -> None:
    values, labels = features(30_000, 4, 0.5)
    values *= (1, 1.5, 2, 3)  # far from a sphere, towards which the covariance is shrunk
    means = np.stack([values[labels == one].mean(axis=0) for one in range(3)])
    within = np.cov(values, rowvar=False, bias=True)
    expected = np.trace(np.linalg.inv(within) @ np.cov(means[labels], rowvar=False, bias=True))
    assert h_score(values, labels) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("score", [h_score, log_me])
@pytest.mark.parametrize("width", [8, 200])
def test_more_apart_is_better(score: Score, width: int) -> None:
    found = [score(*features(90, width, apart)) for apart in (0.0, 0.3, 1.0, 3.0)]
    assert found == sorted(found)
    assert found[-1] > found[0]


@pytest.mark.parametrize("score", [h_score, log_me])
def test_constant_and_half_precision_features(score: Score) -> None:
    values, labels = features(60, 8, 1.0)
    with_constant = np.hstack([values, np.full((60, 2), 3.0)]).astype(np.float16)
    assert np.isfinite(score(with_constant, labels))
    assert np.isfinite(score(np.zeros((60, 4)), labels))
