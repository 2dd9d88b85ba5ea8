"""The wiring to torch-fidelity, with a tiny extractor of its own kind: the real weights do not ship."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from worker.evaluation import inception, metrics
from worker.evaluation.features import FeatureExtractors, extract_features
from worker.evaluation.inception import (
    FILE,
    Inception,
    InceptionUnavailable,
    WeightsDownload,
    ensure_weights,
    find_weights,
    load_inception,
)
from worker.evaluation.reference import ReferenceStatistics, score_protocols

CPU = torch.device("cpu")


class Tiny(FeatureExtractorBase):  # type: ignore[misc]
    """Three mean colours and three deviations, behind torch-fidelity's own interface."""

    def __init__(self) -> None:
        super().__init__("tiny", ["6"])

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("6",)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        assert images.dtype == torch.uint8
        assert images.shape[1] == 3
        rows = images.flatten(2).double()
        return (torch.cat((rows.mean(2), rows.std(2)), 1) / 50,)


def images(seed: int, count: int = 200) -> Tensor:
    bright = torch.rand(count, 1, 1, 1, generator=torch.Generator().manual_seed(seed)) * 200
    noise = torch.rand(count, 3, 28, 28, generator=torch.Generator().manual_seed(seed + 1)) * 50
    return (bright + noise).to(torch.uint8)


def test_scores_are_those_that_torch_fidelity_computes_of_the_same_features() -> None:
    left, right = (Tiny()(images(seed))[0] for seed in (0, 5))
    expected = fid_statistics_to_metric(*map(fid_features_to_statistics, (left, right)), verbose=False)
    found = metrics.frechet_distance(metrics.Moments.of(left), metrics.Moments.of(right))
    assert found == pytest.approx(expected["frechet_inception_distance"], rel=1e-4)

    kid = kid_features_to_metric(left, right, kid_subsets=1, kid_subset_size=200, verbose=False)
    assert metrics.kernel_distance(left, right).mean == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-6)

    shares = prc_features_to_metric(left, right, prc_neighborhood=3, prc_batch_size=100, verbose=False)
    agreed = metrics.precision_recall(metrics.hyperspheres(right), metrics.hyperspheres(left))
    assert agreed.precision == pytest.approx(shares["precision"], abs=0.02)
    assert agreed.recall == pytest.approx(shares["recall"], abs=0.02)


def test_an_extractor_of_torch_fidelity_takes_part_in_an_evaluation() -> None:
    extractors = FeatureExtractors(inception=Inception(Tiny(), "tiny", CPU))
    real, generated = (extract_features(torch.split(images(seed), 50), 200, extractors) for seed in (0, 5))
    found = ReferenceStatistics(real).compare(generated)
    assert {"fid", "kid", "inception_precision", "inception_recall", "sliced_wasserstein"} <= set(found)
    assert found["kid"].deviation == 0
    assert "tiny of torch-fidelity" in score_protocols(28, extractors)["fid"]


def test_grey_images_become_three_equal_channels() -> None:
    features = Inception(Tiny(), "tiny", CPU).features(images(0)[:4, :1])
    assert features.shape == (4, 6)
    assert torch.equal(features[:, 0], features[:, 2])


def expect_weights(monkeypatch: pytest.MonkeyPatch, weights: bytes) -> None:
    """Expect other bytes as the weights."""
    monkeypatch.setattr(inception, "_SHA256", hashlib.sha256(weights).hexdigest())
    monkeypatch.setattr(inception, "_BYTES", len(weights))


def test_a_file_that_holds_more_than_tensors_is_not_accepted(tmp_path: Path) -> None:
    torch.save({"weights": Thread}, tmp_path / FILE)
    with pytest.raises(InceptionUnavailable, match="Weights only load failed"):
        load_inception(tmp_path / FILE, CPU)


@pytest.mark.parametrize("kept", [b"", b"PK\x03\x04 torn", b"another one"])
def test_a_file_that_is_not_the_weights_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bytes
) -> None:
    expect_weights(monkeypatch, b"the weights")
    (tmp_path / FILE).write_bytes(kept)
    assert find_weights(tmp_path) is None
    (tmp_path / FILE).write_bytes(b"the weights")
    assert find_weights(tmp_path) == tmp_path / FILE
    with pytest.raises(InceptionUnavailable, match="cannot be used"):
        load_inception(tmp_path / FILE, CPU)


class Server:
    """Serves one body at every address, or its parts as they come."""

    def __init__(self, body: bytes | Iterator[bytes]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                with suppress(ConnectionError):
                    for part in [body] if isinstance(body, bytes) else body:
                        self.wfile.write(part)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_missing_weights_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect_weights(monkeypatch, b"weights")
    server = Server(b"weights")
    assert WeightsDownload(tmp_path / "new", server.url).result(wait=True) == tmp_path / "new" / FILE
    server.close()
    assert (tmp_path / "new" / FILE).read_bytes() == b"weights"
    assert ensure_weights(tmp_path / "new", download=False)
    assert not ensure_weights(tmp_path, download=False)


@pytest.mark.parametrize("served", [None, b"others", b"far more than was asked for"])
def test_without_weights_the_log_says_once_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: bytes | None
) -> None:
    expect_weights(monkeypatch, b"weights")
    server = Server(served or b"")
    if served is None:
        server.close()
    with pytest.raises(InceptionUnavailable, match=f"could not be fetched .* put {FILE} from"):
        WeightsDownload(tmp_path, server.url).result(wait=True)
    if served is not None:
        server.close()
    assert not list(tmp_path.iterdir())


def test_a_slow_server_is_left_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "_DOWNLOAD_SECONDS", 0.2)
    enough = Event()

    def drip() -> Iterator[bytes]:
        while not enough.wait(0.02):
            yield b"."

    server = Server(drip())
    with pytest.raises(InceptionUnavailable, match=r"longer than 0\.2 seconds"):
        WeightsDownload(tmp_path, server.url).result(wait=True)
    enough.set()
    server.close()
