"""What breaks one rule of a package each: the rule, what was done, and how; for `test_package_check`."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import yaml

from scripts.package import signing
from scripts.package.check.package import loaded

type Files = dict[str, bytes]
type Change = Callable[[Files], object]
type Case = tuple[str, str, Change]
PROVIDER, SEARCH = "dify_plugin/provider/knowledge.yaml", "dify_plugin/tools/search.yaml"
GROUP, CALLBACK = "dify_plugin/group/wechat.yaml", "dify_plugin/endpoints/callback.yaml"
MODELS, LLM = "provider/private_deepseek.yaml", "models/llm/private-deepseek.yaml"
SERVER = "dify_plugin/server.py"


def yaml_of(name: str, change: Callable[[Any], object]) -> Change:
    def apply(files: Files) -> None:
        body = copy.deepcopy(loaded(files[name].decode()))
        change(body)
        files[name] = yaml.safe_dump(body, allow_unicode=True).encode()

    return apply


def manifest(**fields: Any) -> Change:
    return yaml_of("manifest.yaml", lambda body: body.update(fields))


def without(name: str) -> Change:
    return lambda files: files.pop(name)


def plus(name: str, content: str | bytes = "x") -> Change:
    body = content.encode() if isinstance(content, str) else content
    return lambda files: files.update({name: files.get(name, b"") + body})


def instead(name: str, content: str | bytes) -> Change:
    body = content.encode() if isinstance(content, str) else content
    return lambda files: files.update({name: body})


def parameter(**fields: Any) -> Change:
    """Of the search tool, its first one: text that the model fills in."""
    return yaml_of(SEARCH, lambda tool: tool["parameters"][0].update(fields))


def form_item(**fields: Any) -> Change:
    return yaml_of(
        MODELS,
        lambda provider: provider["provider_credential_schema"]["credential_form_schemas"][
            1
        ].update(fields),
    )


def rule_of_a_model(**fields: Any) -> Change:
    return yaml_of(LLM, lambda model: model["parameter_rules"][0].update(fields))


def permission(**fields: Any) -> Change:
    return yaml_of("manifest.yaml", lambda body: body["resource"]["permission"].update(fields))


top = partial(yaml_of, "manifest.yaml")
provider = partial(yaml_of, PROVIDER)
tool = partial(yaml_of, SEARCH)
group = partial(yaml_of, GROUP)
endpoint = partial(yaml_of, CALLBACK)
models = partial(yaml_of, MODELS)
llm = partial(yaml_of, LLM)


WORDS = {"en_US": "Words", "zh_Hans": "文字"}
OPTION = {"value": "a", "label": WORDS}
OF_TOOLS: list[Case] = [
    ("manifest-fields", "a version of two numbers", manifest(version="1.0")),
    ("manifest-fields", "a version that Python does not know", manifest(version="1.0.0-beautiful")),
    ("manifest-fields", "the type of a bundle", manifest(type="bundle")),
    ("manifest-fields", "an author in capitals", manifest(author="Shenqiao")),
    ("manifest-fields", "a name with a space", manifest(name="shen qiao")),
    ("manifest-fields", "no English label", manifest(label={"zh_Hans": "深桥"})),
    (
        "manifest-fields",
        "a label of 1,024 characters",
        manifest(label={"en_US": "x" * 1024, "zh_Hans": "深"}),
    ),
    (
        "manifest-fields",
        "a language that Dify does not know",
        manifest(label={**WORDS, "fr_FR": "Pont"}),
    ),
    ("manifest-fields", "an icon with a path", manifest(icon="_assets/icon.svg")),
    ("manifest-fields", "no memory", top(lambda m: m["resource"].pop("memory"))),
    (
        "manifest-fields",
        "storage beyond the limit",
        permission(storage={"enabled": True, "size": 1 << 31}),
    ),
    ("manifest-fields", "a long path", manifest(plugins={"tools": ["x" * 129]})),
    ("manifest-fields", "another format", top(lambda b: b["meta"].update(version="0.0.2"))),
    ("manifest-fields", "another processor", top(lambda b: b["meta"].update(arch=["x86"]))),
    (
        "manifest-fields",
        "another language",
        top(lambda b: b["meta"]["runner"].update(language="go")),
    ),
    (
        "manifest-fields",
        "a bad least version of Dify",
        top(lambda b: b["meta"].update(minimum_dify_version="new")),
    ),
    ("manifest-fields", "a day without a time", manifest(created_at="2026-11-25")),
    ("manifest-fields", "a time with a space", manifest(created_at="2026-11-25 00:00:00+00:00")),
    ("manifest-fields", "an hour that is none", manifest(created_at="2026-11-25T25:00:00Z")),
    ("manifest-fields", "no time of making", top(lambda m: m.pop("created_at"))),
    ("manifest-fields", "an unknown tag", manifest(tags=["wechat"])),
    ("manifest-fields", "an address that is none", manifest(repo="our repository")),
    ("manifest-fields", "no privacy page", top(lambda m: m.pop("privacy"))),
    ("manifest-fields", "an unknown key", manifest(licence="Apache-2.0")),
    ("manifest-fields", "a key twice", plus("manifest.yaml", "\nname: again\n")),
    ("manifest-fields", "no YAML", plus("manifest.yaml", "\n\t- : :")),
    ("named-files", "no manifest", without("manifest.yaml")),
    (
        "named-files",
        "a tool that is not there",
        provider(lambda p: p["tools"].append("dify_plugin/tools/none.yaml")),
    ),
    (
        "no-model-beside-a-tool",
        "a model beside tools",
        top(lambda b: b["plugins"].update(models=["m.yaml"])),
    ),
    ("no-model-beside-a-tool", "nothing in it", manifest(plugins={})),
    (
        "one-provider-of-a-kind",
        "two tool providers",
        top(lambda b: b["plugins"]["tools"].append(GROUP)),
    ),
    ("author", "a reserved author", manifest(author="shenqiao-dify")),
    ("author", "another author of a tool", tool(lambda t: t["identity"].update(author="somebody"))),
    ("permissions", "endpoints without permission", permission(endpoint={"enabled": False})),
    ("permissions", "a permission that nothing needs", permission(app={"enabled": True})),
    ("not-verified-by-itself", "verified by its own word", manifest(verified=True)),
    ("english-readme", "no README", without("README.md")),
    (
        "english-readme",
        "a Chinese README",
        instead("README.md", "安装 install use credentials connection source contact" + "深" * 99),
    ),
    (
        "english-readme",
        "no word of credentials",
        instead("README.md", "install use connection source contact"),
    ),
    ("chinese-readme", "no Chinese README", without("readme/README_zh_Hans.md")),
    (
        "chinese-readme",
        "an English one in its place",
        instead("readme/README_zh_Hans.md", "English"),
    ),
    ("readme-pictures", "a picture of elsewhere", plus("README.md", "![](docs/x.png)")),
    ("privacy-page", "an empty privacy page", instead("PRIVACY.md", " \n")),
    ("both-languages", "an English label only", manifest(label={"en_US": "Shenqiao"})),
    (
        "both-languages",
        "an English help only",
        provider(lambda p: p["credentials_for_provider"]["api_key"].update(help={"en_US": "?"})),
    ),
    ("icons", "an icon that is not there", manifest(icon="picture.svg")),
    (
        "icons",
        "a dark icon that is not there",
        provider(lambda p: p["identity"].update(icon_dark="night.svg")),
    ),
    ("pictures", "an icon with a program", instead("_assets/icon.svg", "<svg><script/></svg>")),
    (
        "pictures",
        "an icon that loads",
        instead("_assets/icon.svg", '<svg><image href="http://x.example/"/></svg>'),
    ),
    ("pictures", "an icon that is none", instead("_assets/icon.svg", "icon")),
    ("no-surplus-files", "a file of git", plus(".git/config")),
    ("no-surplus-files", "an environment", plus("dify_plugin/.env", "A=1")),
    ("no-surplus-files", "a cache", plus("dify_plugin/__pycache__/server.cpython-312.pyc")),
    ("no-surplus-files", "a log", plus("run.log")),
    ("no-surplus-files", "a file of an editor", plus(".vscode/settings.json")),
    ("no-surplus-files", "a program", plus("dify_plugin/tool.so")),
    (
        "no-surplus-files",
        "a YAML file that nothing names",
        plus("dify_plugin/tools/old.yaml", "a: 1"),
    ),
    ("no-surplus-files", "a README of no language", plus("readme/LIESMICH.md")),
    ("no-secrets", "a private key", plus(SERVER, "# -----BEGIN RSA PRIVATE KEY-----\n")),
    ("no-secrets", "a key of a server", plus("README.md", " sq-" + "a1B2" * 8)),
    ("no-secrets", "a key of a model service", plus(SERVER, "# sk-" + "0a" * 16)),
    (
        "no-secrets",
        "a password in an address",
        plus("README.md", " https://me:hunter2@shenqiao.example/"),
    ),
    ("no-secrets", "a secret in the code", plus(SERVER, '\nSECRET = "0123456789abcdef01"\n')),
    ("text-is-utf8", "another encoding", instead("PRIVACY.md", "隐私".encode("gb18030"))),
    ("sdk-not-hidden", "a package in the SDK's place", plus("dify_plugin/__init__.py", "")),
    ("sdk-not-hidden", "a name of the SDK", plus("dify_plugin/entities/x.py", "")),
    ("tool-fields", "a name with a dot", tool(lambda t: t["identity"].update(name="search.all"))),
    ("tool-fields", "a type that is too new", parameter(type="date")),
    ("tool-fields", "a key that is too new", parameter(show_on=[])),
    ("tool-fields", "an unknown form", parameter(form="user")),
    (
        "tool-fields",
        "no description for people",
        tool(lambda t: t["parameters"][0].pop("human_description")),
    ),
    ("tool-fields", "no outputs", tool(lambda t: t.pop("output_schema"))),
    (
        "tool-fields",
        "an output without a type",
        tool(lambda t: t["output_schema"]["properties"].update(x={})),
    ),
    (
        "tool-provider-fields",
        "an unknown field type",
        provider(lambda p: p["credentials_for_provider"]["api_key"].update(type="password")),
    ),
    ("tool-provider-fields", "no tools", provider(lambda p: p.update(tools=[]))),
    (
        "endpoint-group-fields",
        "a field without a label",
        group(lambda g: g["settings"][0].pop("label")),
    ),
    (
        "endpoint-fields",
        "a method that the daemon has not",
        endpoint(lambda e: e.update(method="PATCH")),
    ),
    ("endpoint-fields", "a path without a slash", endpoint(lambda e: e.update(path="callback"))),
    ("tool-names-differ", "a name twice", tool(lambda t: t["identity"].update(name="list_bases"))),
    (
        "tool-parameters",
        "a parameter twice",
        tool(lambda t: t["parameters"].append(t["parameters"][0])),
    ),
    ("tool-parameters", "a select without options", parameter(type="select")),
    (
        "tool-parameters",
        "a default that is no option",
        parameter(type="select", options=[OPTION], default="b"),
    ),
    (
        "tool-parameters",
        "a default above the most",
        parameter(type="number", default=9, min=0, max=1),
    ),
    ("tool-parameters", "no words for the model", parameter(llm_description="")),
    ("tool-outputs", "no variables", tool(lambda t: t["output_schema"].update(properties={}))),
    (
        "tool-outputs",
        "an output that is taken",
        tool(lambda t: t["output_schema"]["properties"].update(text={"type": "string"})),
    ),
    (
        "credentials",
        "a key that can be read",
        provider(lambda p: p["credentials_for_provider"]["api_key"].update(type="text-input")),
    ),
    (
        "no-secret-of-an-endpoint",
        "a secret of an endpoint",
        group(lambda g: g["settings"][0].update(type="secret-input")),
    ),
    ("endpoint-paths", "a slash at the end", endpoint(lambda e: e.update(path="/callback/"))),
    ("endpoint-paths", "a route twice", endpoint(lambda e: e.update(method="GET"))),
    ("python-parses", "no Python", plus(SERVER, "\ndef\n")),
    ("entry-point", "no entry point", without("main.py")),
    (
        "entry-point",
        "a library before the SDK",
        lambda files: files.update({"main.py": b"import httpx\n" + files["main.py"]}),
    ),
    ("entry-point", "our folder not on the path", instead("main.py", "import dify_plugin\n")),
    ("sources", "a source that is not there", without("dify_plugin/tools/search.py")),
    (
        "sources",
        "two classes of a kind",
        plus("dify_plugin/tools/search.py", "\n\nclass Second(Tool):\n    pass\n"),
    ),
    ("sources", "no class of the kind", instead("dify_plugin/tools/search.py", "X = 1\n")),
    (
        "sources",
        "the import of another source",
        plus(
            "dify_plugin/tools/search.py",
            "\nfrom dify_plugin.tools.list_bases import ListBasesTool\n",
        ),
    ),
    ("harmless-python", "a print", plus(SERVER, '\nprint("x")\n')),
    ("harmless-python", "a program", plus(SERVER, "\nimport subprocess\n")),
    ("harmless-python", "the daemon's environment", plus(SERVER, "\nimport os\nX = os.environ\n")),
    ("no-dead-code", "a module that nothing uses", plus("dify_plugin/forgotten.py", "X = 1\n")),
    ("bounded-requirements", "no requirements", without("requirements.txt")),
    ("bounded-requirements", "no highest version", plus("requirements.txt", "flask>=3\n")),
    (
        "bounded-requirements",
        "an address",
        plus("requirements.txt", "x @ https://x.example/x-1-py3-none-any.whl\n"),
    ),
    (
        "bounded-requirements",
        "another index",
        plus("requirements.txt", "--index-url https://x.example/\n"),
    ),
    ("bounded-requirements", "no SDK", instead("requirements.txt", "httpx>=0.28,<1\n")),
    ("one-way-to-install", "a second list of requirements", plus("pyproject.toml")),
    ("wheels", "a wheel that is not asked for", plus("wheels/x-1-py3-none-any.whl")),
    (
        "wheels",
        "no index and no wheels",
        lambda files: files.update(
            {"requirements.txt": b"--no-index\n" + files["requirements.txt"]}
        ),
    ),
    ("safe-paths", "a way out", plus("../x.py")),
    ("safe-paths", "an absolute path", plus("/etc/x.py")),
    ("safe-paths", "a folder", plus("dify_plugin/empty/", b"")),
    ("size", "more than the API takes", plus("_assets/big.png", bytes(15 * 1024 * 1024))),
    (
        "signature-is-whole",
        "half a signature",
        plus(signing.VERIFICATION, '{"authorized_category":"community"}'),
    ),
]
OF_THE_MODEL: list[Case] = [
    (
        "model-provider-fields",
        "an unknown model type",
        models(lambda p: p["supported_model_types"].append("text2img")),
    ),
    ("model-provider-fields", "an unknown form type", form_item(type="password")),
    (
        "model-provider-fields",
        "33 fields",
        models(
            lambda p: p["provider_credential_schema"].update(
                credential_form_schemas=[
                    {"variable": f"v{n}", "label": WORDS, "type": "text-input", "required": True}
                    for n in range(33)
                ]
            )
        ),
    ),
    (
        "model-provider-fields",
        "required or not is not said",
        models(
            lambda p: p["provider_credential_schema"]["credential_form_schemas"][0].pop("required")
        ),
    ),
    (
        "model-provider-fields",
        "a position file of another name",
        models(lambda p: p["models"]["llm"].update(position="models/llm/order.yaml")),
    ),
    ("credentials", "a default secret", form_item(default="1234")),
    (
        "model-kinds",
        "a type without a form or model",
        models(
            lambda p: p.update(
                configurate_methods=["predefined-model"],
                supported_model_types=[*p["supported_model_types"], "tts"],
            )
        ),
    ),
    (
        "model-kinds",
        "a type that is not supported",
        models(lambda p: p["supported_model_types"].remove("rerank")),
    ),
    (
        "model-kinds",
        "a pattern that finds nothing",
        models(lambda p: p["models"]["llm"].update(predefined=["models/*.yaml"])),
    ),
    (
        "model-kinds",
        "added models without a form",
        models(lambda p: p.pop("model_credential_schema")),
    ),
    (
        "model-positions",
        "an order of unknown models",
        lambda files: (
            models(lambda p: p["models"]["llm"].update(position="models/llm/_position.yaml"))(
                files
            ),
            files.update({"models/llm/_position.yaml": b"- other\n"}),
        )[1],
    ),
    ("model-fields", "an unknown feature", llm(lambda m: m["features"].append("smell"))),
    ("model-fields", "an unknown template", rule_of_a_model(use_template="seed")),
    (
        "model-fields",
        "129 rules",
        llm(
            lambda m: m.update(
                parameter_rules=[{"name": f"r{n}", "use_template": "top_k"} for n in range(129)]
            )
        ),
    ),
    ("models", "a default out of bounds", rule_of_a_model(default=9)),
    ("models", "a rule twice", llm(lambda m: m["parameter_rules"].append(m["parameter_rules"][0]))),
    ("models", "no context size", llm(lambda m: m["model_properties"].pop("context_size"))),
    ("models", "a model of another type", llm(lambda m: m.update(model_type="rerank"))),
    (
        "model-sources",
        "a source of two parts",
        models(lambda p: p["extra"]["python"].update(model_sources=["models/llm.py"])),
    ),
    (
        "model-sources",
        "a type without a source",
        models(lambda p: p["extra"]["python"]["model_sources"].pop()),
    ),
    ("permissions", "calls back into Dify", permission(model={"enabled": True, "llm": True})),
    (
        "no-model-beside-a-tool",
        "a tool beside models",
        top(lambda b: b["plugins"].update(tools=["t.yaml"])),
    ),
]
