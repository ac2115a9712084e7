// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { foldElement } from "../../src/pane/fold";

describe("an unfolded JSON line in the pane", () => {
  it("is text only, and a copy of it is the document again", () => {
    const element = foldElement('{"<b>k</b>":"<img src=x onerror=alert(1)>","n":[1,{"a":null}]}') as HTMLElement;
    expect(element.querySelector("b, img")).toBeNull();
    const copied = [...element.children].map((line) => line.textContent).join("\n");
    expect(JSON.parse(copied)).toEqual({ "<b>k</b>": "<img src=x onerror=alert(1)>", n: [1, { a: null }] });
    expect(copied.split("\n")[1]).toMatch(/^ {2}"<b>k/);
  });

  it("is null for a line without a document", () => {
    expect(foldElement("plain")).toBeNull();
  });
});
