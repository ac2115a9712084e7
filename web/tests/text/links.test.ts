import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { linkify, linkSpans } from "../../src/text/links";

function links(text: string): string[] {
  return linkify(text).flatMap((part) => (part.href === undefined ? [] : [part.text]));
}

describe("links in text", () => {
  it.each([
    ["see https://a.example/x.", ["https://a.example/x"]],
    ["(https://a.example/x_(y))", ["https://a.example/x_(y)"]],
    ["[https://a.example], http://b.example:8080/?q=1#f!", ["https://a.example", "http://b.example:8080/?q=1#f"]],
    ['"https://a.example/"', ["https://a.example/"]],
    ["HTTPS://A.EXAMPLE/", ["HTTPS://A.EXAMPLE/"]],
    ["https://", []],
    ["ftp://a.example/", []],
    ["xhttps://a.example/", []],
  ])("%s", (text, found) => {
    expect(links(text)).toEqual(found);
    expect(
      linkify(text)
        .map((part) => part.text)
        .join(""),
    ).toBe(text);
  });

  it("end before a sentence's punctuation and unopened brackets", () => {
    // The reference reads from the end, one character at a time, and counts both brackets each time.
    const naive = (address: string): string => {
      let shown = address;
      for (;;) {
        const count = (character: string): number => shown.split(character).length - 1;
        const last = shown.at(-1) ?? "";
        const unopened = (last === ")" && count(")") > count("(")) || (last === "]" && count("]") > count("["));
        if (last === "" || !(unopened || ".,;:!?*_~".includes(last))) return shown;
        shown = shown.slice(0, -1);
      }
    };
    const tail = fc.string({ unit: fc.constantFrom(..."()[].,!_~ab/"), maxLength: 24 });
    fc.assert(
      fc.property(tail, (rest) => {
        const address = `http://x.example/${rest}`;
        expect(links(address)).toEqual([naive(address)]);
      }),
    );
  });

  it("continue through a change of colour, and are one link", () => {
    const parts = linkSpans<{ text: string; href?: string; style?: string }>([
      { text: "at https://a.ex" },
      { text: "ample/x and", style: "red" },
      { text: " more" },
    ]);
    expect(parts.map(({ text, href }) => [text, href])).toEqual([
      ["at ", undefined],
      ["https://a.ex", "https://a.example/x"],
      ["ample/x", "https://a.example/x"],
      [" and", undefined],
      [" more", undefined],
    ]);
  });

  it("are bounded in number", () => {
    expect(links("https://a.example/ ".repeat(1_000)).length).toBeLessThanOrEqual(64);
  });
});
