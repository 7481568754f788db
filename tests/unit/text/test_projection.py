"""From text vectors to item vectors."""

import numpy as np
import pytest

from stream_app.text import Projection, fit_whitening

RANDOM = np.random.default_rng(0)
# As sentence encoders give them: unit rows in a narrow cone, few directions that matter.
TEXTS = RANDOM.standard_normal((500, 6)) @ RANDOM.standard_normal((6, 24)) + 4
TEXTS += 0.05 * RANDOM.standard_normal(TEXTS.shape)
TEXTS = (TEXTS / np.linalg.norm(TEXTS, axis=1, keepdims=True)).astype(np.float32)


def projection(rank: int = 10, dim: int = 4) -> Projection:
    weights = RANDOM.standard_normal((rank, dim)).astype(np.float32)
    return Projection.of(fit_whitening(TEXTS, rank), weights)


def test_whitened_texts_are_uncorrelated_and_spread():
    whitening = fit_whitening(TEXTS, 6)
    white = (TEXTS - whitening.mean) @ whitening.matrix
    covariance = np.cov(white.T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3
    assert np.diag(covariance).min() > 0.5
    before, after = TEXTS @ TEXTS.T, white @ white.T
    assert before.mean() > 0.5  # the narrow cone: all alike
    assert after.mean() == pytest.approx(0, abs=1e-3)


def test_directions_without_variance_are_not_blown_up():
    whitening = fit_whitening(TEXTS, 24)
    spread = ((TEXTS - whitening.mean) @ whitening.matrix).std(axis=0)
    assert spread[:3].min() > 0.5
    assert spread[12:].max() < 0.5


def test_the_rank_is_bounded_by_texts_and_dimensions():
    assert fit_whitening(TEXTS, 100).matrix.shape == (24, 24)
    assert fit_whitening(TEXTS[:5], 100).matrix.shape == (24, 4)


def test_rows_of_zeros_do_not_count():
    padded = np.concatenate([TEXTS, np.zeros_like(TEXTS)])
    np.testing.assert_array_equal(fit_whitening(padded, 6).mean, fit_whitening(TEXTS, 6).mean)


def test_the_same_texts_give_the_same_whitening():
    np.testing.assert_array_equal(fit_whitening(TEXTS, 6).matrix, fit_whitening(TEXTS, 6).matrix)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (TEXTS[:1], "there are 1, at least 2 are needed"),
        (np.zeros_like(TEXTS), "there are 0, at least 2 are needed"),
        (np.repeat(TEXTS[:1], 9, axis=0), "they are all the same"),
    ],
)
def test_texts_that_tell_nothing_apart_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        fit_whitening(texts, 6)


def test_item_vectors_have_unit_length_and_an_empty_text_has_none():
    texts = np.concatenate([TEXTS[:3], np.zeros((1, 24), np.float32)])
    vectors = projection().project(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 0], atol=1e-6)
    assert projection().project(np.empty((0, 24), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("shape", [(3, 23), (24,), (1, 2, 24)])
def test_vectors_of_another_encoder_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \[B, 24\]"):
        projection().project(np.ones(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    texts = TEXTS[:2].copy()
    texts[1, 3] = value
    with pytest.raises(ValueError, match="not finite"):
        projection().project(texts)
