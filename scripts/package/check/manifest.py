"""Rules about the manifest that one field alone does not show."""

from collections.abc import Iterator

from scripts.package.check.package import Declared, Package


def no_model_beside_a_tool(_: Package, declared: Declared) -> Iterator[str]:
    """The daemon refuses it at installation; its packager does not."""
    if declared.manifest is None:
        return
    kinds = set(declared.manifest.plugins.kinds())
    if not kinds:
        yield "manifest.yaml: plugins: names no tool, model or endpoint."
    if len(kinds) > 1 and kinds != {"tools", "endpoints"}:
        yield f"manifest.yaml: plugins: {' and '.join(sorted(kinds))} cannot be in one package."


def one_provider_of_a_kind(_: Package, declared: Declared) -> Iterator[str]:
    """The daemon keeps only the last one."""
    if declared.manifest is None:
        return
    for kind, paths in declared.manifest.plugins.kinds().items():
        if len(paths) > 1:
            yield f"manifest.yaml: plugins.{kind}: Dify keeps only the last of several files."


def author(_: Package, declared: Declared) -> Iterator[str]:
    """The marketplace keeps these names for itself; the daemon tells a remote plugin by an author that is a UUID."""
    if declared.manifest is None:
        return
    name = declared.manifest.author
    if "dify" in name or "langgenius" in name:
        yield "manifest.yaml: author: may not hold dify or langgenius."
    owners = {p.identity.author for p in declared.tool_providers.values()}
    owners |= {tool.identity.author for tool in declared.tools.values()}
    if owners - {name}:
        yield f"manifest.yaml: author: {name}, but the tools say {', '.join(sorted(owners))}."


def permissions(_: Package, declared: Declared) -> Iterator[str]:
    """Endpoints need theirs; everything else is for calls back into Dify, which these packages never make."""
    if declared.manifest is None:
        return
    granted = declared.manifest.resource.permission
    enabled = {name for name, value in granted if value and value.enabled} if granted else set()
    needed = {"endpoint"} if declared.manifest.plugins.endpoints else set()
    for name in sorted(needed - enabled):
        yield f"manifest.yaml: resource.permission.{name}: has to be enabled for the endpoints."
    for name in sorted(enabled - needed):
        yield f"manifest.yaml: resource.permission.{name}: is asked for and not needed."


def not_verified_by_itself(_: Package, declared: Declared) -> Iterator[str]:
    if declared.manifest and declared.manifest.verified:
        yield "manifest.yaml: verified: only a signature makes it true."
