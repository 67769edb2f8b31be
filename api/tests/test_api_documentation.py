"""What is documented is so: OpenAPI, the pages, the README and the changelog."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from api_server import ROW

import iris_api
from iris_api.problems import TITLES
from iris_api.settings import Settings

UNIT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def openapi(server):
    """The OpenAPI document."""
    return server.send("GET", "/openapi.json").json


@pytest.fixture(scope="module")
def predict(openapi):
    """What it says of predicting."""
    return openapi["paths"]["/v1/predict"]["post"]


def test_openapi_lists_every_path_when_asked(openapi):
    assert sorted(openapi["paths"]) == [
        "/health",
        "/livez",
        "/metrics",
        "/readyz",
        "/v1/model",
        "/v1/predict",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{name}",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/ready",
        "/v2/models/{name}/versions/{version}",
        "/v2/models/{name}/versions/{version}/infer",
        "/v2/models/{name}/versions/{version}/ready",
    ]


def test_openapi_describes_rows_strictly_when_asked(openapi, predict):
    media = predict["requestBody"]["content"]["application/json"]
    assert media["schema"] == {"$ref": "#/components/schemas/PredictRequest"}
    schemas = openapi["components"]["schemas"]
    inputs = schemas["PredictRequest"]["properties"]["inputs"]
    assert (inputs["minItems"], inputs["maxItems"]) == (1, 1000)
    assert schemas["PredictRequest"]["additionalProperties"] is False
    row = schemas["PredictRow"]
    assert row["additionalProperties"] is False
    assert row["required"] == list(ROW)
    assert row["properties"]["sepal_length_cm"]["description"] == (
        "In cm; the model was trained on 4.3 to 7.9."
    )


def test_openapi_example_is_real_when_it_is_sent(server, predict):
    request = predict["requestBody"]["content"]["application/json"]["example"]
    answer = predict["responses"]["200"]["content"]["application/json"]["example"]
    assert request == {"inputs": [ROW]}
    assert server.predict(request).json == answer


@pytest.mark.parametrize(
    "status", ["400", "401", "413", "415", "422", "429", "500", "503"]
)
def test_openapi_describes_errors_as_problems_when_predicting(predict, status):
    content = predict["responses"][status]["content"]
    assert list(content) == ["application/problem+json"]
    media = content["application/problem+json"]
    assert media["schema"] == {"$ref": "#/components/schemas/ProblemBody"}
    shown = [one["value"]["status"] for one in media["examples"].values()]
    assert set(shown) == {int(status)}


def test_openapi_resolves_every_reference_when_followed(server, openapi):
    text = server.send("GET", "/openapi.json").body.decode()
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names == set(openapi["components"]["schemas"])


def test_docs_page_needs_no_other_host_when_opened(server):
    page = server.send("GET", "/docs")
    assert page.status == 200
    text = page.body.decode()
    assert re.findall(r"https?:|[\"']//", text) == []
    links = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(links) == 3
    for link in links:
        assert link.startswith("/")
        assert server.send("GET", link).status == 200


def test_changelog_starts_with_this_version():
    text = (UNIT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[(\d.+?)\]", text, re.MULTILINE)[1] == iris_api.__version__
    assert metadata.version("iris_api") == iris_api.__version__


def test_readme_documents_every_setting_and_its_default():
    text = (UNIT / "README.md").read_text()
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`"
        if field.default in (None, ()):
            default = "standard output" if name == "records" else "none"
        row = re.search(rf"^\| `IRIS_API_{name.upper()}` \| (.+?) \|", text, re.M)
        assert row[1] == default
    assert text.count("| `IRIS_API_") == len(Settings.model_fields)


def test_readme_documents_every_error_status():
    text = (UNIT / "README.md").read_text()
    for status, title in TITLES.items():
        assert f"| {status} {title} |" in text


def test_dependencies_name_each_library_that_is_imported():
    project = tomllib.loads((UNIT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["otel"]
    # OpenTelemetry's many distributions share one package.
    named = {re.split("[><=;]|-[a-z-]+>=1.45", d)[0] for d in asked}
    imported = set()
    for path in Path(iris_api.__file__).parent.rglob("*.py"):
        imported |= set(
            re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.M)
        )
    foreign = imported - set(sys.stdlib_module_names) - {"iris_api"}
    # These two are uvicorn's engines: named to it, not imported by us.
    assert {name.replace("-", "_") for name in named} == foreign | {
        "httptools",
        "uvloop",
    }
