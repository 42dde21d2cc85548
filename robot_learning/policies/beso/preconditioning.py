"""The preconditioning of EDM (Karras et al., NeurIPS 2022, arXiv 2206.00364, Table 1 and appendix B.6).

    D(x; sigma) = c_skip(sigma) x + c_out(sigma) F(c_in(sigma) x; c_noise(sigma))            (EDM eq. 7)

keeps what the network F reads and what it is to say at unit variance at each noise level, if the data has standard
deviation sigma_data.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Preconditioning:
    """The four coefficients, each of a tensor of noise levels."""

    sigma_data: float = 0.5

    def c_skip(self, sigma: Tensor) -> Tensor:
        """How much of the noisy input is the answer already: all of it at sigma = 0."""
        return self.sigma_data**2 / (sigma**2 + self.sigma_data**2)

    def c_out(self, sigma: Tensor) -> Tensor:
        """Scale of the network's output."""
        return sigma * self.sigma_data / (sigma**2 + self.sigma_data**2).sqrt()

    def c_in(self, sigma: Tensor) -> Tensor:
        """Scale of the network's input."""
        return 1 / (sigma**2 + self.sigma_data**2).sqrt()

    def c_noise(self, sigma: Tensor) -> Tensor:
        """The noise level as the network is told it."""
        return sigma.log() / 4

    def target(self, x: Tensor, noisy: Tensor, sigma: Tensor) -> Tensor:
        """What F is to say for D to be x.

        The plain mean square of F minus this is EDM's loss lambda(sigma) |D - x|^2 with lambda = 1 / c_out^2 (eq. 8).
        """
        return (x - self.c_skip(sigma) * noisy) / self.c_out(sigma)
