"""The figures of docs/serving.md about front doors and streams are those of the committed result."""

import json

from benchmarks.common.places import RESULTS, ROOT


def test_the_documented_figures_of_fronts_and_streams_are_the_measured_ones():
    found = json.loads((RESULTS / "serving" / "fronts.json").read_text("utf-8"))
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    before, after, spent = found["before"], found["after"], found["beyond_hold_back"]["cpu_ms"]
    old, new = before["streams"], after["streams"]
    ratios = after["doors"]["ratio_to_grpc"]
    http, connect = ratios["http"], ratios["connect"]
    for said in (
        f"| {before['doors']['ratio_to_grpc']['http']:.2f} | {http:.2f}; by Connect {connect:.2f} |",
        f"| {before['first_token']['added_ms']:.0f} ms | {after['first_token']['added_ms']:.0f} ms |",
        f"| {old['cpu_ms_a_word']:.2f} ms | {new['cpu_ms_a_word']:.2f} ms |",
        f"| {old['stalled_over_1_s']}, longest {old['longest_gap_s']['max']:.1f} s |",
        f"**{new['stalled_over_1_s']}, longest {new['longest_gap_s']['max']:.1f} s: not met**",
        f"| {old['released']} | {new['released']} |",
        f"| {old['memory_mb']['before']}, {old['memory_mb']['after']} MiB |",
        f"| {new['memory_mb']['before']}, {new['memory_mb']['after']} MiB |",
        f"{spent['p50']} ms of processor time (p50, at most {spent['max']},",
    ):
        assert said in page, said
