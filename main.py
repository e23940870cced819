"""Entry point of package A under Dify's plugin daemon."""

from pathlib import Path

import dify_plugin

# The folder `dify_plugin/` here has the SDK's name; this makes its modules importable beside the SDK's own.
dify_plugin.__path__.append(str(Path(__file__).resolve().parent / "dify_plugin"))

from dify_plugin import DifyPluginEnv, Plugin  # noqa: E402

plugin = Plugin(DifyPluginEnv())

if __name__ == "__main__":
    plugin.run()
