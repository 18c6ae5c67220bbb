import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { page } from "../src/graph";

// What `mkbc graph examples/video_qa.mkb --cluster azure_mixed --format svg` prints.
const picture = readFileSync("../../tests/toolchain/graph/video_qa.svg", "utf8");

test("the picture has what the page's colours and clicks go by", () => {
  for (const part of ['class="paper"', 'class="title"', 'class="about"', 'class="arrow critical"', 'class="box input"', 'class="box result"']) {
    assert.ok(picture.includes(part), part);
  }
  const steps = [...picture.matchAll(/<g class="box step( critical)?"( data-line="\d+")?/g)];
  assert.equal(steps.length, 5);
  assert.ok(steps.every(([, , line]) => line !== undefined));
});

test("a page holds the picture, and runs nothing but its own script", () => {
  const whole = page(picture, new Uint8Array([0, 15, 255]));
  assert.ok(whole.includes(picture));
  assert.equal(whole.match(/<script/g)?.length, 1);
  assert.match(whole, /script-src 'nonce-000fff'"/);
  assert.match(whole, /<script nonce="000fff">/);
  assert.doesNotMatch(whole, /\bon\w+=|https?:\/\/(?!www\.w3\.org)/);
});
