"""``image_onnx`` and ``image_clip`` on tiny models made here; ``image_guard`` against a real local endpoint."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.types import Image, Stage
from gensafe.media import decode
from gensafe.safety.classifiers import image_clip, image_guard, image_onnx
from gensafe.safety.clip_tokens import END, START, byte_letters, read_tokens
from gensafe.testing.classifier_contract import check_classifier

RED = Image(np.full((40, 60, 3), (250, 10, 10), np.uint8))
BLUE = Image(np.full((60, 40, 3), (10, 10, 250), np.uint8))
MIXED = Image(np.random.default_rng(0).integers(0, 256, (33, 70, 3), dtype=np.uint8))


def save(path, nodes, weights, inputs, outputs):
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))


def colour_model(path, rows):
    """Logits = rows @ (mean red, green, blue of the normalised picture)."""
    node = helper.make_node
    nodes = [
        node("GlobalAveragePool", ["x"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "w"], ["y"], transB=1),
    ]
    save(path, nodes, {"w": np.array(rows, np.float32)}, [("x", TensorProto.FLOAT, [1, 3, "h", "w_"])], ["y"])


def vision_transformer(path, outputs=5, size=32, patch=8, width=16):
    """A ViT with random weights: patch embedding, class token, one block of attention and MLP, projection."""
    rng, node, count = np.random.default_rng(1), helper.make_node, (size // patch) ** 2

    def random(*shape):
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    weights = {
        "patch": random(width, 3, patch, patch), "cls": random(1, 1, width), "pos": random(1, count + 1, width),
        "g": np.ones(width, np.float32), "b": np.zeros(width, np.float32), "wq": random(width, width),
        "wk": random(width, width), "wv": random(width, width), "wo": random(width, width),
        "w1": random(width, 32), "w2": random(32, width), "head": random(width, outputs),
        "tokens": np.array([1, width, count]), "zero": np.array(0), "scale": np.float32(width**-0.5),
    }  # fmt: skip
    nodes = [
        node("Conv", ["pixel_values", "patch"], ["c"], strides=[patch, patch]),
        node("Reshape", ["c", "tokens"], ["r"]), node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        node("Concat", ["cls", "t"], ["s"], axis=1), node("Add", ["s", "pos"], ["h0"]),
        node("LayerNormalization", ["h0", "g", "b"], ["n0"], axis=-1),
        *(node("MatMul", ["n0", f"w{k}"], [k]) for k in "qkv"), node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["qk"]), node("Mul", ["qk", "scale"], ["qs"]),
        node("Softmax", ["qs"], ["a"], axis=-1),
        node("MatMul", ["a", "v"], ["av"]), node("MatMul", ["av", "wo"], ["o"]), node("Add", ["h0", "o"], ["h1"]),
        node("LayerNormalization", ["h1", "g", "b"], ["n1"], axis=-1), node("MatMul", ["n1", "w1"], ["m1"]),
        node("Relu", ["m1"], ["m2"]), node("MatMul", ["m2", "w2"], ["m3"]), node("Add", ["h1", "m3"], ["h2"]),
        node("Gather", ["h2", "zero"], ["first"], axis=1), node("MatMul", ["first", "head"], ["image_embeds"]),
    ]  # fmt: skip
    save(path, nodes, weights, [("pixel_values", TensorProto.FLOAT, [1, 3, size, size])], ["image_embeds"])


def text_encoder(path, vocabulary, width=5):
    """Mean of random token embeddings where the mask says so."""
    table = np.random.default_rng(2).standard_normal((vocabulary, width)).astype(np.float32)
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["e"]),
        node("ReduceMean", ["e"], ["text_embeds"], axes=[1], keepdims=0),
    ]
    save(path, nodes, {"table": table}, [("input_ids", TensorProto.INT64, ["n", "t"])], ["text_embeds"])
    return table


def described(tmp_path, **description):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(description))
    return {"description": str(path)}


COLOURS = {
    "model": "m.onnx",
    "labels": {"red thing": "vcr", "green thing": "", "blue thing": "sxc"},
    "preprocessing": {"size": 16, "mean": [0.5, 0.5, 0.5], "deviation": [0.5, 0.5, 0.5]},
}


@pytest.fixture
def colours(tmp_path):
    colour_model(tmp_path / "m.onnx", np.eye(3) * 8)
    return tmp_path


def scores(check, image):
    return {f.category: f.score for f in check.assess(image, Stage.OUTPUT).findings}


# --- image_onnx ------------------------------------------------------------------------------------------------------


def test_labels_lead_to_categories(colours):
    check = image_onnx.create(described(colours, **COLOURS))
    red, blue = scores(check, RED), scores(check, BLUE)
    assert red["vcr"] > 0.99 and red["sxc"] < 0.01
    assert blue["sxc"] > 0.99 and blue["vcr"] < 0.01
    assert check.card().categories == ("sxc", "vcr")
    assert check.identity().weights_digest.startswith("sha256:")
    check_classifier(check, (RED, BLUE, MIXED, Image(np.zeros((1, 1, 3), np.uint8))))


def test_softmax_adds_up_and_sigmoid_takes_the_highest(colours):
    both = COLOURS | {"labels": {"a": "vcr", "b": "vcr", "c": ""}}
    summed = scores(image_onnx.create(described(colours, **both)), MIXED)["vcr"]
    highest = scores(image_onnx.create(described(colours, **both, activation="sigmoid")), MIXED)["vcr"]
    assert summed > 0.5
    means = MIXED.pixels.reshape(-1, 3).mean(axis=0) / 127.5 - 1
    assert highest == pytest.approx(float(1 / (1 + np.exp(-8 * means[:2].max()))), abs=0.02)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_how_a_picture_is_fitted(colours, fit):
    wide = np.full((20, 60, 3), (10, 10, 250), np.uint8)
    wide[:, 20:40] = (250, 10, 10)  # red only in the middle square
    pixels = COLOURS["preprocessing"] | {"fit": fit}
    check = image_onnx.create(described(colours, **COLOURS | {"preprocessing": pixels}))
    assert (scores(check, Image(wide))["vcr"] > 0.9) == (fit == "crop")


def test_a_transformer_classifies(tmp_path):
    vision_transformer(tmp_path / "vit.onnx")
    labels = {"drawing": "", "neutral": "", "hentai": "sxc", "porn": "sxc", "gore": "vcr"}
    check = image_onnx.create(described(tmp_path, model="vit.onnx", labels=labels, preprocessing={"size": 32}))
    check_classifier(check, (RED, BLUE, MIXED))
    assert scores(check, RED) != scores(check, BLUE)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "missing.onnx"}, SafetyUnavailable),
        ({"model": ""}, ConfigError),
        ({"model": "model.json"}, SafetyUnavailable),
        ({"model_sha256": "0" * 64}, ConfigError),
        ({"labels": {"a": "nonsense"}}, ConfigError),
        ({"labels": {"a": "", "b": "", "c": ""}}, ConfigError),
        ({"labels": []}, ConfigError),
        ({"activation": "relu"}, ConfigError),
        ({"preprocessing": {}}, ConfigError),
        ({"preprocessing": {"size": 16, "mean": [1]}}, ConfigError),
        ({"preprocessing": {"size": 16, "deviation": [1, 0, 1]}}, ConfigError),
        ({"preprocessing": {"size": 16, "fit": "squeeze"}}, ConfigError),
    ],
)
def test_a_wrong_description_is_refused(colours, change, error):
    with pytest.raises(error):
        image_onnx.create(described(colours, **COLOURS | change))


@pytest.mark.parametrize("change", [{"labels": {"a": "vcr"}}, {"output": "other"}, {"activation": "none"}])
def test_a_model_that_does_not_fit_its_description_fails_closed(colours, change):
    check = image_onnx.create(described(colours, **COLOURS | change))
    with pytest.raises(SafetyUnavailable):
        check.assess(RED, Stage.OUTPUT)


def test_scores_that_are_not_numbers_fail_closed(tmp_path):
    colour_model(tmp_path / "m.onnx", np.full((3, 3), np.nan))
    with pytest.raises(SafetyUnavailable):
        image_onnx.create(described(tmp_path, **COLOURS)).assess(RED, Stage.OUTPUT)


def test_no_description(tmp_path):
    for options in ({}, {"description": str(tmp_path / "none.json")}):
        with pytest.raises(ConfigError):
            image_onnx.create(options)
        with pytest.raises(ConfigError):
            image_clip.create(options)


# --- image_clip ------------------------------------------------------------------------------------------------------

SENTENCES = {"a photo of red things": "vcr", "a photo of blue things": "sxc", "a photo of grass": ""}


def clip(tmp_path, **more):
    colour_model(tmp_path / "image.onnx", np.eye(3))
    np.save(tmp_path / "sentences.npy", np.array([[1.0, -0.5, -0.5], [-0.5, -0.5, 1.0], [-0.5, 1.0, -0.5]]))
    return described(
        tmp_path,
        **{
            "image_model": "image.onnx",
            "embeddings": "sentences.npy",
            "sentences": SENTENCES,
            "preprocessing": {"size": 16},
            "scale": 20.0,
        }
        | more,
    )


def test_sentences_describe_categories(tmp_path):
    check = image_clip.create(clip(tmp_path))
    assert scores(check, RED)["vcr"] > 0.99 and scores(check, BLUE)["sxc"] > 0.99
    green = Image(np.full((20, 20, 3), (10, 250, 10), np.uint8))
    assert max(scores(check, green).values()) < 0.01  # the harmless sentence draws the score away
    check_classifier(check, (RED, BLUE, MIXED))
    other = image_clip.create(clip(tmp_path, scale=21.0))
    assert other.identity().weights_digest != check.identity().weights_digest


def test_siglip_judges_each_sentence_alone(tmp_path):
    check = image_clip.create(clip(tmp_path, family="siglip", scale=10.0, bias=-5.0))
    cosine = 1.0 * 0.9615 / np.sqrt(3 * 0.9216) + 0.9216 / np.sqrt(3 * 0.9216)
    assert scores(check, RED)["vcr"] == pytest.approx(
        1 / (1 + np.exp(5 - 10 * min(1.0, cosine / np.sqrt(1.5)))), abs=0.02
    )


def test_sentences_are_embedded_by_the_text_model(tmp_path):
    vision_transformer(tmp_path / "image.onnx")
    letters = sorted(byte_letters().values())
    pieces = [*letters, *(piece + "</w>" for piece in letters), "re", "red</w>", START, END]
    (tmp_path / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nr e\nre d</w>\n")
    table = text_encoder(tmp_path / "text.onnx", len(pieces))
    tokens = read_tokens(tmp_path / "vocab.json", tmp_path / "merges.txt")
    ids = tokens.encode("Red  ox!", 8)
    at = {piece: i for i, piece in enumerate(pieces)}
    assert ids == [at[START], at["red</w>"], at["o"], at["x</w>"], at["!</w>"], at[END], at[END], at[END]]
    files = {"text_model": "text.onnx", "vocabulary": "vocab.json", "merges": "merges.txt", "image_model": "image.onnx"}
    options = described(tmp_path, **files, sentences={"red": "vcr", "ox": ""}, preprocessing={"size": 32}, scale=5.0)
    check = image_clip.create(options)
    rows = np.array([table[tokens.encode(s, image_clip.CONTEXT)].mean(axis=0) for s in ("red", "ox")], np.float64)
    np.save(tmp_path / "rows.npy", rows)
    same = described(
        tmp_path, image_model="image.onnx", embeddings="rows.npy", sentences={"red": "vcr", "ox": ""},
        preprocessing={"size": 32}, scale=5.0,
    )  # fmt: skip
    assert scores(check, MIXED)["vcr"] == pytest.approx(scores(image_clip.create(same), MIXED)["vcr"], abs=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"sentences": {"a": "vcr"}},
        {"sentences": {"a": ""}},
        {"family": "blip"},
        {"embeddings": "none.npy"},
        {"sentences": {"a": "vcr", "b": ""}},  # three rows for two sentences
        {"scale": "much"},
    ],
)
def test_a_wrong_clip_description_is_refused(tmp_path, change):
    with pytest.raises(ConfigError):
        image_clip.create(clip(tmp_path, **change))


# --- image_guard -----------------------------------------------------------------------------------------------------


class Endpoint:
    """A chat-completions server that looks at the picture it is sent: red violates, everything else does not."""

    def __init__(self, family):
        endpoint = self
        self.seen, self.words = [], None

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                (message,) = body["messages"]
                url = message["content"][0]["image_url"]["url"]
                picture = decode(base64.b64decode(url.removeprefix("data:image/png;base64,"))).pixels
                endpoint.seen.append((picture.shape, message["content"][1:]))
                red = picture[..., 0].mean() > 200
                question = message["content"][1]["text"] if len(message["content"]) > 1 else ""
                yes = "Yes" if red and "Sexually" in question else "No"
                words = {
                    "shieldgemma2": yes,
                    "llama-guard": "\n\nunsafe\nS12" if red else "\n\nsafe",
                    "llavaguard": json.dumps({"rating": "Unsafe" if red else "Safe", "category": "O3: Sexual Content"}),
                }[family]
                logprobs = {"content": [{"token": yes, "logprob": float(np.log(0.9))}]}
                choice = {"message": {"content": endpoint.words or words}, "logprobs": logprobs}
                reply = json.dumps({"choices": [choice]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def guard(self, family):
        return image_guard.create({"endpoint": self.url, "model": "m", "family": family, "timeout_s": "20"})

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def endpoint(request):
    served = Endpoint(request.param)
    yield served
    served.close()


@pytest.mark.parametrize(
    ("endpoint", "family", "score"),
    [("shieldgemma2", "shieldgemma2", 0.9), ("llama-guard", "llama-guard", 0.9), ("llavaguard", "llavaguard", 1.0)],
    indirect=["endpoint"],
)
def test_a_vision_guard_sees_the_picture(endpoint, family, score):
    check = endpoint.guard(family)
    assert scores(check, RED) == {"sxc": pytest.approx(score)}
    assert scores(check, BLUE) == {}
    assert endpoint.seen[0][0] == RED.pixels.shape
    large = Image(np.full((10, 3000, 3), 9, np.uint8))
    assert scores(check, large) == {} and endpoint.seen[-1][0] == (3, 1024, 3)
    check_classifier(check, (RED, BLUE))


@pytest.mark.parametrize("endpoint", ["shieldgemma2", "llama-guard", "llavaguard"], indirect=True)
@pytest.mark.parametrize("words", ["perhaps", "{}", '{"rating": "maybe"}', "[1"])
def test_an_answer_that_cannot_be_read_is_an_error(endpoint, words, request):
    endpoint.words = words
    with pytest.raises(SafetyUnavailable):
        endpoint.guard(request.node.callspec.params["endpoint"]).assess(RED, Stage.OUTPUT)


def test_a_wrong_guard_is_refused():
    for change in ({"family": "eye"}, {"endpoint": "http://guard.example/v1"}, {"model": ""}, {"timeout_s": "0"}):
        with pytest.raises(ConfigError):
            image_guard.create({"endpoint": "http://127.0.0.1:9/v1", "model": "m", "family": "llavaguard"} | change)
    check = image_guard.create({"endpoint": "http://127.0.0.1:9/v1", "model": "m"})
    with pytest.raises(SafetyUnavailable):
        check.assess(RED, Stage.OUTPUT)
