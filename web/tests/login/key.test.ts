// @vitest-environment happy-dom
/** A link's key signs in when nobody is signed in, and otherwise changes nothing without a decision. */
import { beforeEach, expect, test } from "vitest";
import { forgetKey, restoreKey, setLoginMark, storeKey, token } from "../../src/login/key";

function visit(fragment: string): string | null {
  history.replaceState(null, "", `/?job=x${fragment}`);
  return restoreKey();
}

beforeEach(() => {
  forgetKey();
  setLoginMark(false);
});

test("a link signs in when nobody is signed in", () => {
  expect([visit("#key=mine"), token.value]).toEqual([null, "mine"]);
  expect(location.href).toMatch(/\?job=x$/);
  expect([visit(""), token.value]).toEqual([null, "mine"]);
});

test.each(["#key=theirs", "#key=theirs&key=mine", "#key=", "#other=1&key=theirs"])(
  "a link with another key asks first: %s",
  (fragment) => {
    storeKey("mine");
    expect(visit(fragment)).toBe(fragment === "#key=" ? "" : "theirs");
    expect([token.value, sessionStorage.getItem("logferry.key")]).toEqual(["mine", "mine"]);
    expect(location.href).not.toContain("key");
    expect([visit(""), token.value]).toEqual([null, "mine"]);
  },
);

test("a link with the same key asks nothing", () => {
  storeKey("mine");
  expect([visit("#key=mine"), token.value]).toEqual([null, "mine"]);
});

test("a link asks first when somebody is signed in at an issuer", () => {
  setLoginMark(true);
  expect([visit("#key=theirs"), token.value]).toEqual(["theirs", null]);
});
