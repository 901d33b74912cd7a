"""The score network (paper, Eq. 4-5): a transformer over the nodes of an architecture's DAG."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from naslib_diffusion.diffusion.checkpoint import Checkpoint, Facts, read_checkpoint
from naslib_diffusion.diffusion.config import NetworkConfig
from naslib_diffusion.diffusion.exact import Sigma, per_row
from naslib_diffusion.diffusion.graph import GraphLayout, relations
from naslib_diffusion.diffusion.transformer import Block, EdgeHead, TimeEmbedding
from naslib_diffusion.spaces.base import Space

CENTER = SIGMA_DATA = 0.5
"""Entries are zero or one, so they deviate from the center by this much."""


class ScoreNetwork(nn.Module):
    """A trained denoiser: maps (`x`: `B x N x C`, `sigma`) to the clean estimate, `B x N x C`.

    The score is `(network(x, sigma) - x) / sigma^2`. It computes in the precision of its weights
    and answers in that of `x`.

    With the posterior head, the estimate of a node follows from Bayes' rule. The likelihood of
    operation k is known: it is proportional to `exp((x_k - 1/2) / sigma^2)`. The network predicts
    the prior of k given all other nodes, as logits. Where nodes can be absent, absence is one more
    operation, whose row is zero. Entries of E are treated in the same way, as present or absent.
    The logits are scaled by `sqrt(1 + sigma_data^2 / sigma^2)`: with less noise, the other nodes
    say more, and likelihoods grow, too. With the linear head, the estimate is
    `c_skip x + c_out F(c_in x)`, for nodes of any kind.

    Args:
        layout: where V and E lie.
        config: size and options.
        space_name: name of the space, for messages and files.
        support: least and largest value of each entry over the space, `2 x N x C`. The default is
            zero and one.
        clamp: whether estimates are kept within the support, so that entries that are constant
            over the space are exact. It is off in training, so that the network learns these
            entries, too.
    """

    support: Tensor
    fixed_relations: Tensor
    upper: Tensor

    def __init__(
        self,
        layout: GraphLayout,
        config: NetworkConfig | None = None,
        *,
        space_name: str = "",
        support: Tensor | None = None,
        clamp: bool = False,
    ) -> None:
        super().__init__()
        self.layout, self.config = layout, config or NetworkConfig()
        self.space_name, self.clamp = space_name, clamp
        if support is None:
            support = torch.tensor([0.0, 1.0], device="cpu")[:, None, None].repeat(
                1, *layout.shape
            )
        fixed = relations(layout.adjacency(), directed=self.config.directed)
        upper = torch.ones(layout.nodes, layout.nodes, device="cpu").triu(1)
        self.register_buffer("support", support.float())
        self.register_buffer("fixed_relations", fixed[None], persistent=False)
        self.register_buffer("upper", upper, persistent=False)
        self._make_layers(len(fixed))

    @classmethod
    def for_space(
        cls, space: Space[Any], x: Tensor, config: NetworkConfig | None = None
    ) -> ScoreNetwork:
        """Return an untrained network for a space, given many encodings of it, `B x N x C`."""
        layout, support = GraphLayout.of(space), torch.stack([x.amin(0), x.amax(0)])
        absence = bool((x[..., : layout.operations] == 0).all(-1).any())
        config = dataclasses.replace(config or NetworkConfig(), absence=absence)
        return cls(layout, config, space_name=space.name, support=support)

    @staticmethod
    def load(
        source: str | Path, space: Space[Any] | None = None, *, clamp: bool = True
    ) -> ScoreNetwork:
        """Read a network from a file, or the one that ships for a space, by the space's name.

        It is frozen, on the CPU.

        Args:
            source: a file; or a name, such as "nasbench201", if there is no file of that name.
            space: the space that it is to be used with.
            clamp: see `ScoreNetwork`.

        Raises:
            ValueError: if it is no checkpoint of this package, is damaged, or of another space; in
                one line.
        """
        checkpoint = read_checkpoint(source)
        try:
            with torch.device("meta"):  # the weights of the file take their place
                network = ScoreNetwork(
                    checkpoint.layout,
                    checkpoint.config,
                    space_name=checkpoint.space_name,
                    support=checkpoint.tensors["support"],
                    clamp=clamp,
                )
            network.load_state_dict(checkpoint.tensors, assign=True)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise checkpoint.damage(error) from None
        if space is not None:
            checkpoint.check_space(space)
        return network.float().requires_grad_(False).eval()

    def save(self, path: str | Path, facts: Facts | None = None) -> None:
        """Write the network, and what is known of its training, to a file, atomically."""
        tensors = self.state_dict()
        Checkpoint(self.space_name, self.layout, self.config, tensors, Path(path)).save(facts)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return self.support.dtype

    def _make_layers(self, relation_count: int) -> None:
        config, layout = self.config, self.layout
        outputs = layout.operations + config.absence
        features = layout.operations + outputs + config.absence
        if layout.edges is None:
            features += 4 * layout.nodes if config.positional else 4
        self.operation_embedding = nn.Linear(features, config.width)
        self.time_embedding = TimeEmbedding(config.width)
        if config.positional:
            self.position_embedding = nn.Parameter(torch.randn(layout.nodes, config.width) * 0.5)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.expansion, relation_count)
            for _ in range(config.depth)
        )
        self.node_head = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
            nn.Linear(config.width, outputs),
        )
        nn.init.zeros_(self.node_head[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.node_head[-1].bias)  # type: ignore[arg-type]
        if layout.edges is None:
            self.edge_head = EdgeHead(config.width, directed=config.directed)

    def forward(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return the clean estimate, `B x N x C`, differentiable in `x`.

        Args:
            x: noisy encodings, `B x N x C`.
            sigma: positive noise level, a scalar or `B`.

        Raises:
            ValueError: if `x` has another shape.
        """
        if tuple(x.shape[1:]) != self.layout.shape:
            raise ValueError(
                f"the network of {self.space_name or 'this space'} takes encodings of shape "
                f"{self.layout.shape}, not {tuple(x.shape[1:])}"
            )
        noisy = x.to(self.support.dtype)
        level = per_row(sigma, noisy).expand(len(x), 1, 1)
        evidence = (noisy - CENTER) / level**2
        gain = (1 + (SIGMA_DATA / level) ** 2).sqrt()
        nodes, edges = self._predict(noisy, level, evidence, gain)
        if self.config.head == "posterior":
            estimate = self._posterior(evidence, gain * nodes, gain * edges)
        else:
            outputs = torch.cat([nodes[..., : self.layout.operations], edges], dim=-1)
            estimate = _preconditioned(noisy, level, outputs)
        if self.layout.edges is None:
            v, e = self._split(estimate)
            estimate = torch.cat([v, e * self.upper], dim=-1)
        if self.clamp:
            estimate = estimate.clamp(self.support[0], self.support[1])
        return estimate.to(x.dtype)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return V, `B x N x F`, and E, `B x N x N` or, where wiring is fixed, `B x N x 0`."""
        return x[..., : self.layout.operations], x[..., self.layout.operations :]

    def _predict(
        self, noisy: Tensor, level: Tensor, evidence: Tensor, gain: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Eq. 4-5: outputs for V (and absence), `B x N x (F or F + 1)`, and for E, like E.

        Nodes see their own operations and edges twice: scaled to unit variance (c_in), and as the
        posterior under a flat prior, which resolves all there is to know at low noise. Where they
        can be absent, they see how surely they are there, in the scale of the logits: where nodes
        contradict each other, that decides between them.
        """
        scaled, edges = self._split((noisy - CENTER) / (level**2 + SIGMA_DATA**2).sqrt())
        known, wiring = self._split(evidence)
        features = [scaled, self._logits(known).softmax(-1)]
        if self.config.absence:
            features.append(known.logsumexp(-1, keepdim=True) / gain)
        seen = self.fixed_relations
        if self.layout.edges is None:
            soft = wiring.sigmoid() * self.upper
            seen = relations(soft, directed=self.config.directed)
            features += self._wiring_features(soft) + self._wiring_features(edges * self.upper)
        hidden = self.operation_embedding(torch.cat(features, dim=-1))
        hidden = hidden + self.time_embedding(level.flatten())[:, None]
        if self.config.positional:
            hidden = hidden + self.position_embedding
        for block in self.blocks:
            hidden = block(hidden, seen)
        if self.layout.edges is None:
            edges = self.edge_head(hidden, torch.stack([edges, wiring.sigmoid()], dim=-1))
        return self.node_head(hidden).to(noisy), edges.to(noisy)

    def _wiring_features(self, soft: Tensor) -> list[Tensor]:
        """Return rows and columns of a form of E, or degrees where positions are not to leak."""
        if self.config.positional:
            return [soft, soft.mT]
        degrees = [soft.sum(-1, keepdim=True), soft.mT.sum(-1, keepdim=True)]
        if self.config.directed:
            return degrees
        return [degrees[0] + degrees[1]] * 2

    def _posterior(self, evidence: Tensor, nodes: Tensor, edges: Tensor) -> Tensor:
        """Bayes' rule with the predicted prior, `B x N x C`."""
        v, e = self._split(evidence)
        operations, _ = self._split((self._logits(v) + nodes).softmax(-1))
        return torch.cat([operations, (e + edges).sigmoid()], dim=-1)

    def _logits(self, evidence: Tensor) -> Tensor:
        """Log-likelihoods of a node's operations, relative to that of an absent one: zero."""
        if not self.config.absence:
            return evidence
        return torch.cat([evidence, torch.zeros_like(evidence[..., :1])], dim=-1)


def _preconditioned(noisy: Tensor, level: Tensor, output: Tensor) -> Tensor:
    """`c_skip x + c_out F` about the center (Karras et al. 2022, Eq. 7 and Table 1)."""
    variance = level**2 + SIGMA_DATA**2
    skipped = SIGMA_DATA**2 / variance * (noisy - CENTER)
    return CENTER + skipped + level * SIGMA_DATA / variance.sqrt() * output
