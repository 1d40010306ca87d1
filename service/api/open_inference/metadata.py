"""Metadata of the server and of its models, as the Open Inference Protocol has them."""

from importlib.metadata import version

from service.api.open_inference import contract
from service.api.open_inference.variants import CURRENT, Variant
from service.contracts.tensors import BYTES, IMAGES, TensorSpec
from service.settings import Settings

EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
)
_NAME = "mulan"
_PLATFORM = "mulan_diffusion"


def server() -> contract.ServerMetadata:
    """Return the metadata of the server."""
    return contract.ServerMetadata(
        name=_NAME, version=version("mulan-serve"), extensions=EXTENSIONS
    )


def model(variant: Variant) -> contract.ModelMetadata:
    """Return the metadata of a model."""
    return contract.ModelMetadata(
        name=variant.name,
        versions=variant.versions,
        platform=_PLATFORM,
        inputs=tuple(map(_tensor, variant.form.inputs(variant.model))),
        outputs=tuple(map(_tensor, variant.form.outputs(variant.model))),
        parameters={"classes": classes} if (classes := variant.model.config.classes) else None,
    )


def readiness(variant: Variant) -> contract.ModelReady:
    """Return that a model takes requests. Raises BadRequest for one that cannot do its work."""
    variant.form.check(variant.model)
    return contract.ModelReady(name=variant.name, ready=True)


def entry(variant: Variant) -> contract.IndexEntry:
    """Return the line of a model in the index."""
    lack = variant.lack
    return contract.IndexEntry(
        name=variant.name,
        version=CURRENT,
        state="UNAVAILABLE" if lack else "READY",
        reason=lack,
    )


def configuration(variant: Variant, settings: Settings) -> contract.ModelConfiguration:
    """Return the configuration of a model. A model that takes images has a batch of them, whose
    axis its sizes leave out."""
    inputs = variant.form.inputs(variant.model)
    batched = any(spec.name == IMAGES for spec in inputs)
    return contract.ModelConfiguration(
        name=variant.name,
        platform=_PLATFORM,
        backend=_NAME,
        max_batch_size=settings.max_images if batched else 0,
        input=tuple(
            contract.ConfiguredInput(
                name=spec.name,
                data_type=_type(spec),
                dims=_dims(spec, batched),
                optional=spec.optional,
            )
            for spec in inputs
        ),
        output=tuple(
            contract.ConfiguredOutput(
                name=spec.name, data_type=_type(spec), dims=_dims(spec, batched)
            )
            for spec in variant.form.outputs(variant.model)
        ),
        parameters={"classes": contract.ConfiguredParameter(string_value=str(classes))}
        if (classes := variant.model.config.classes)
        else None,
    )


def _tensor(spec: TensorSpec) -> contract.TensorMetadata:
    return contract.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)


def _type(spec: TensorSpec) -> str:
    return f"TYPE_{'STRING' if spec.datatype == BYTES else spec.datatype}"


def _dims(spec: TensorSpec, batched: bool) -> tuple[int, ...]:
    """Return the sizes of one element of a batch, or of the whole tensor where there is none."""
    return spec.shape[1:] if batched else spec.shape
