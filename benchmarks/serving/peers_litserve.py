"""LitServe with batching, as a process: `python -m benchmarks.serving.peers_litserve …`; needs the extra `bench`."""

from __future__ import annotations

from pathlib import Path

import litserve
import torch
from starlette.responses import Response
from torch import Tensor

from app.cli.serve import KEEP_ALIVE_SECONDS
from benchmarks.serving.peers import COUNT, arguments, draw, load, png


class GeneratorAPI(litserve.LitAPI):  # type: ignore[misc]  # untyped
    """LitServe's stages: latents drawn per request and stacked, generated in one batch, encoded one by one."""

    def __init__(self, weights: Path, name: str, threads: int, max_batch_size: int, batch_timeout: float) -> None:
        super().__init__(max_batch_size=max_batch_size, batch_timeout=batch_timeout)
        self.weights, self.name, self.threads = weights, name, threads

    def setup(self, device: str) -> None:
        """Load the generator in the worker's process."""
        torch.set_num_threads(self.threads)
        self.torch_device = torch.device(device)
        self.generator = load(self.weights, self.name, self.torch_device)

    def decode_request(self, request: dict[str, int]) -> Tensor:
        """Draw the latents of a request."""
        return draw(request["seed"], self.name)

    def batch(self, inputs: list[Tensor]) -> Tensor:
        """Stack requests to one batch."""
        return torch.cat(inputs)

    def predict(self, x: Tensor) -> Tensor:
        """Generate the images of a batch."""
        with torch.inference_mode():
            images: Tensor = self.generator(x.to(self.torch_device)).cpu()
            return images

    def unbatch(self, output: Tensor) -> list[Tensor]:
        """Split a batch into requests."""
        return list(torch.split(output, COUNT))

    def encode_response(self, output: Tensor) -> Response:
        """Encode the images of a response."""
        return Response(png(output), media_type="image/png")


def main() -> None:
    """Serve until killed."""
    parser = arguments(__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--batch-timeout", type=float, required=True)
    parser.add_argument("--fast-queue", action="store_true")
    options = parser.parse_args()
    api = GeneratorAPI(options.file, options.model, options.threads, options.batch, options.batch_timeout)
    server = litserve.LitServer(
        api, accelerator=options.device, devices=1, timeout=False, fast_queue=options.fast_queue
    )
    server.run(
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


if __name__ == "__main__":
    main()
