"""NASLib's BANANAS and NPENAS with candidates from the generator; importing this imports NASLib.

Only the acquisition-optimisation step is replaced: predictor, acquisition function, initial
architectures, history and statistics are NASLib's. So a run beside the original shows what the
generator does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from naslib_diffusion.plugins.naslib import compat
from naslib_diffusion.plugins.naslib.settings import ConfigError, Settings
from naslib_diffusion.plugins.naslib.spaces import Code, Codec, codec_for
from torch import Tensor

from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.optimize.pool import SpaceExhausted
from naslib_diffusion.spaces.equality import under

_naslib = compat.load("naslib.optimizers")
_acquisition = compat.load("naslib.optimizers.discrete.bananas.acquisition_functions")


class CodeOnly(torch.nn.Module):
    """Looks to NASLib's predictors like a graph, and holds nothing but the code.

    Args:
        kind: NASLib's class of the search space, whose encodings are used.
        code: of the architecture.
        spec: what `set_spec` would take.
    """

    def __init__(self, kind: type, code: Code, spec: Any) -> None:
        super().__init__()  # NASLib's tree predictors encode what is a module
        self._kind, self.op_indices, self.compact = kind, list(code), spec

    def get_op_indices(self) -> list[int]:
        """Return the operation indices, as graphs of cells with one operation an edge do."""
        return self.op_indices

    def get_compact(self) -> Any:
        """Return the compact form, as graphs of DARTS do."""
        return self.compact

    def get_hash(self) -> Any:
        """Return what identifies the architecture."""
        return tuple(self.op_indices)

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """Encode as the graph would."""
        return self._kind.encode(self, *args, **kwargs)  # type: ignore[attr-defined]


class Predictions:
    """An ensemble's predictions of codes, made for many at once and kept."""

    def __init__(self, codec: Codec[Any], kind: type, ensemble: Any) -> None:
        self._codec, self._kind, self._ensemble = codec, kind, ensemble
        self._known: dict[Code, Any] = {}

    def extend(self, codes: Sequence[Code]) -> None:
        """Predict what is not known yet."""
        new = [code for code in dict.fromkeys(codes) if code not in self._known]
        if new:
            archs = [CodeOnly(self._kind, code, self._codec.spec(code)) for code in new]
            rows = np.asarray(self._ensemble.query(archs)).reshape(-1, len(new))
            self._known.update(zip(new, rows.T, strict=True))

    def query(self, codes: Sequence[Code], info: Any = None) -> Any:
        """Return the members' predictions for one code; to NASLib this is the ensemble."""
        return self._known[codes[0]]


class AcquisitionGuide:
    """One of NASLib's acquisition functions on predictions, as a guide without gradient.

    A value is computed once and kept: Thompson sampling draws one for each architecture.
    """

    def __init__(
        self, codec: Codec[Any], predictions: Predictions, ytrain: Sequence[float], name: str
    ) -> None:
        self._codec, self._predictions = codec, predictions
        self._values: dict[Code, float] = {}
        self._function = _acquisition.acquisition_function(
            ensemble=predictions, ytrain=np.asarray(ytrain), acq_fn_type=name
        )

    def value(self, codes: Sequence[Code]) -> list[float]:
        """Score codes."""
        self._predictions.extend(codes)
        for code in codes:
            if code not in self._values:
                self._values[code] = float(self._function(code))
        return [self._values[code] for code in codes]

    def __call__(self, x: Tensor) -> Tensor:
        """Score the architectures nearest to relaxed ones, `B x *shape` to `B`."""
        codes = [self._codec.code(arch) for arch in self._codec.space.decode(x)]
        return torch.tensor(self.value(codes), dtype=torch.double)


class _Guided:
    """Replaces `_get_new_candidates` of one of NASLib's optimizers with predictors."""

    acquisition: str | None = None
    """NASLib's name of the acquisition function, where the config does not say."""

    def __init__(self, config: Any, zc_api: Any = None) -> None:
        super().__init__(config, zc_api)  # type: ignore[call-arg]
        self._settings = Settings(
            **{
                name: getattr(config.search, name)
                for name in ("num_init", "num_candidates", "diffusion_steps", "polish", "distinct")
                if hasattr(config.search, name)
            }
        )
        if self.zc:  # type: ignore[attr-defined]
            raise ConfigError("guided candidates have no zero-cost scores; leave out search.zc")

    def adapt_search_space(
        self, search_space: Any, scope: Any = None, dataset_api: Any = None
    ) -> None:
        """Take the search space; raises UnsupportedSpace if it cannot be mapped."""
        self._codec = codec_for(search_space)
        super().adapt_search_space(search_space, scope, dataset_api)  # type: ignore[misc]

    def _get_ensemble(self) -> Any:
        self._ensemble = super()._get_ensemble()  # type: ignore[misc]
        return self._ensemble

    def _get_new_candidates(self, ytrain: Sequence[float]) -> list[Any]:
        """Generate candidates, let the acquisition function choose, build graphs of the chosen.

        Thompson sampling is noise around the mean, which would lead a generator astray: candidates
        are generated under the mean, and the draws choose among them.
        """
        host: Any = self
        name = self.acquisition or host.acq_fn_type
        predictions = Predictions(self._codec, type(host.search_space), self._ensemble)
        choice = AcquisitionGuide(self._codec, predictions, ytrain, name)
        guide = choice
        if name == "its":
            guide = AcquisitionGuide(self._codec, predictions, ytrain, "exploit_only")
        codes = [self._codec.code(arch) for arch in self._generate(guide, ytrain)]
        values = dict(zip(codes, choice.value(codes), strict=True))
        codes.sort(key=lambda code: -values[code])  # stable: equal ones in the generator's order
        return [self._model(code) for code in codes[: host.k]]

    def _generate(self, guide: AcquisitionGuide, ytrain: Sequence[float]) -> list[Any]:
        """Generate architectures that have not been queried; the first one again if all have.

        The best of the queried are among the starts of the polish, as in the engine's search.
        """
        host: Any = self
        space = under(self._codec.space, self._settings.distinct)
        generator = GuidedGenerator(
            space,
            device="cpu",
            seed=int(np.random.randint(2**31 - 1)),
            steps=self._settings.diffusion_steps,
        )
        queried = [self._codec.arch(self._codec.read(model.arch)) for model in host.train_data]
        order = sorted(range(len(queried)), key=lambda i: -ytrain[i])
        try:
            return generator.generate(
                max(self._settings.num_candidates, host.k),
                guide,
                known={space.canonical(arch) for arch in queried},
                polish=self._settings.polish,
                starts=[queried[i] for i in order[: self._settings.polish]],
            )
        except SpaceExhausted as exhausted:
            return exhausted.found or queried[:1]

    def _model(self, code: Code) -> Any:
        host: Any = self
        model: Any = torch.nn.Module()
        model.arch = host.search_space.clone()
        model.arch.set_spec(self._codec.spec(code))
        model.arch_hash = model.arch.get_hash()
        if host.search_space.instantiate_model:
            model.arch.parse()
        return model


class GuidedBananas(_Guided, _naslib.Bananas):  # type: ignore[misc,name-defined]
    """BANANAS whose candidates are generated under its own acquisition function.

    The config's `acq_fn_optimization` is not used. Unlike BANANAS it queries nothing twice.
    """


class GuidedNpenas(_Guided, _naslib.Npenas):  # type: ignore[misc,name-defined]
    """NPENAS whose candidates are generated under its predictor's mean."""

    acquisition = "exploit_only"
