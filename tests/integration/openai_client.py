"""One program with the official Python SDK, of whatever major version runs it, against a running server.

Arguments: base URL, the text that the engine writes, a prompt that is refused. Prints what it did, as one line of JSON.
"""

import base64
import json
import sys

import openai

url, words, refused = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key="unused", max_retries=0)
ask = [{"role": "user", "content": "Tell me about the lighthouse."}]
done = ["models"] if "lamp-1" in [model.id for model in client.models.list()] else []

answer = client.chat.completions.create(model="lamp-1", messages=ask, temperature=0.5, user="jane")
assert answer.choices[0].message.content == words and answer.gensafe["record_id"]
chunks = list(client.chat.completions.create(model="lamp-1", messages=ask, stream=True))
assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == words
done += ["chat", "stream"]

assert client.responses.create(model="lamp-1", input="Tell me about the lighthouse.").output_text == words
assert client.completions.create(model="lamp-1", prompt="Tell me about the lighthouse.").choices[0].text == words
done += ["response", "completion"]

picture = base64.b64decode(client.images.generate(prompt="a lighthouse").data[0].b64_json)
edited = client.images.edit(model="simulator", prompt="at night", image=("l.png", picture, "image/png"))
assert picture[:4] == base64.b64decode(edited.data[0].b64_json)[:4] == b"\x89PNG"
done += ["image", "edit"]

sound = client.audio.speech.create(model="simulator", voice="alloy", input="The lamp.", response_format="wav").content
heard = client.audio.transcriptions.create(model="simulator", file=("s.wav", sound, "audio/wav"))
assert sound[:4] == b"RIFF" and heard.text
done += ["speech", "transcription"]

assert [one.flagged for one in client.moderations.create(input=[refused, "The lamp is lit."]).results] == [True, False]
done.append("moderation")

if hasattr(client, "videos"):  # not in 1.x
    video = client.videos.create_and_poll(model="simulator", prompt="a lighthouse")
    assert video.status == "completed" and client.videos.download_content(video.id).content[4:8] == b"ftyp"
    done.append("video")

try:
    client.chat.completions.create(model="lamp-1", messages=[{"role": "user", "content": refused}])
except openai.BadRequestError as error:
    done += ["refused"] if error.code == "content_filter" else []
with client.chat.completions.create(model="lamp-1", messages=ask, stream=True) as stream:
    next(iter(stream))
done.append("left")
print(json.dumps({"version": openai.__version__, "done": done}))
