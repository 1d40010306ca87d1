"""The runtime of CUDA graphs, on a machine without CUDA: its calls are recorded by a stand-in, and
run on a fake device."""

from collections.abc import Callable

import pytest
import tiny_zoo
import torch
from fake_cuda import CUDA, Unwaiting, fake_cuda, on_cuda
from torch import Tensor

from models.network.mulan import Mulan
from models.runtimes.cuda_graph import BUCKETS, CudaGraphRuntime, cuda_graph_runtime
from models.runtimes.eager import EagerRuntime
from models.runtimes.graphs import Recording, Reruns, Tensors
from models.runtimes.warmup import agrees, warm_up
from models.schema.errors import UnavailableRuntimeError

CONFIG = tiny_zoo.CONFIG
SIZES = (1, 16, 17, 40, 128, 129, 300)


class Spy(Reruns):
    """Counts what is recorded and what is replayed, by the number of rows."""

    def __init__(self) -> None:
        self.recorded: list[int] = []
        self.replayed: list[int] = []

    def capture(self, work: Callable[[], Tensors]) -> Recording:
        outputs, replay = super().capture(work)
        rows = len(outputs[0])
        self.recorded.append(rows)

        def counted() -> None:
            self.replayed.append(rows)
            replay()

        return Recording(outputs, counted)


@pytest.fixture(scope="module")
def model() -> Mulan:
    torch.manual_seed(0)
    model = Mulan(CONFIG)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return model.eval().requires_grad_(False)


def rows(number: int, probes: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    latent = torch.zeros(number, CONFIG.latent_size)
    latent[:, : CONFIG.latent_k] = 1.0
    return (
        torch.randn(number, *CONFIG.chw, generator=draws),
        torch.rand(number, generator=draws),
        latent,
        torch.randn(number, probes, *CONFIG.chw, generator=draws),
    )


@pytest.mark.parametrize("number", SIZES)
def test_it_answers_as_the_modules_do(model: Mulan, number: int) -> None:
    *asked, cotangents = rows(number)
    runtime, eager = CudaGraphRuntime(model, Reruns()), EagerRuntime(model)
    answers = [
        (one.score(*asked), *one.score_and_pull(*asked, cotangents)) for one in (runtime, eager)
    ]
    for found, expected in zip(*answers, strict=True):
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 2e-6 * expected.abs().max()


def test_each_size_is_recorded_once_and_takes_the_calls_that_fit(model: Mulan) -> None:
    spy = Spy()
    runtime = CudaGraphRuntime(model, spy)
    for number in (1, 16, 17, 64, 65, 300, 300):
        runtime.score(*rows(number)[:3])
    assert spy.recorded == [16, 32, 64, 128]
    assert spy.replayed == [16, 16, 32, 64, 128, *[128, 128, 64] * 2]
    for probes in (1, 2, 1):
        runtime.score_and_pull(*rows(10, probes))
    assert spy.recorded == [16, 32, 64, 128, 16, 16]


def test_an_answer_stays_when_others_follow(model: Mulan) -> None:
    runtime = CudaGraphRuntime(model, Reruns())
    first, second = rows(9), rows(9, seed=1)
    answers = runtime.score(*first[:3]), *runtime.score_and_pull(*first)
    kept = [answer.clone() for answer in answers]
    assert not torch.equal(runtime.score(*second[:3]), kept[0])
    runtime.score_and_pull(*second)
    assert all(map(torch.equal, answers, kept))


def test_rows_left_by_an_earlier_call_change_nothing(model: Mulan) -> None:
    fresh, used = (CudaGraphRuntime(model, Reruns()) for _ in range(2))
    used.score_and_pull(*(torch.full_like(leaf, torch.nan) for leaf in rows(16)))
    for one, other in zip(
        fresh.score_and_pull(*rows(5)), used.score_and_pull(*rows(5)), strict=True
    ):
        assert torch.equal(one, other)


def test_a_replay_writes_the_same_tensors_and_reads_the_same(model: Mulan) -> None:
    runtime = CudaGraphRuntime(model, Reruns())
    places = []
    for seed in range(3):
        runtime.score_and_pull(*rows(16, seed=seed))
        (call,) = runtime._calls.values()
        places.append([leaf.data_ptr() for leaf in (*call.inputs, *call.recording.outputs)])
        for held, given in zip(call.inputs, rows(16, seed=seed), strict=True):
            assert torch.equal(held, given)
    assert places[0] == places[1] == places[2]


def test_the_warm_up_takes_it(model: Mulan) -> None:
    denoiser = warm_up(model, 64, CudaGraphRuntime(model, Reruns()))
    assert denoiser.runtime.name == "cuda-graph"
    assert denoiser.quantum in BUCKETS
    assert agrees(denoiser, 64)


def test_samples_may_be_rounded_as_the_modules_round_them(model: Mulan) -> None:
    asked, exact = rows(20)[:3], EagerRuntime(model)
    rounded = CudaGraphRuntime(model, Reruns(), precision="bfloat16").score(*asked)
    expected = EagerRuntime(model, "bfloat16").score(*asked)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, expected, rtol=0.02, atol=0.02)
    assert not torch.equal(rounded, exact.score(*asked))


@pytest.mark.parametrize("probes", [0, 1, 2])
def test_a_call_neither_waits_nor_copies(probes: int) -> None:
    """A capture would fail on either; what is recorded is recorded on the fake device too."""
    given = rows(20, probes)[: 4 if probes else 3]
    with fake_cuda(), torch.no_grad():
        with torch.device(CUDA):
            model = Mulan(CONFIG).eval().requires_grad_(False)
        runtime, asked = CudaGraphRuntime(model, Reruns()), on_cuda(given)
        with Unwaiting():
            for _ in range(2):
                (runtime.score_and_pull if probes else runtime.score)(*asked)


def test_it_is_refused_without_cuda(model: Mulan) -> None:
    with pytest.raises(UnavailableRuntimeError, match="needs a CUDA device, and the model is on"):
        cuda_graph_runtime(model)
