// @vitest-environment happy-dom
/** Log text cannot inject markup, script, links other than http(s), or terminal tricks. */
import { describe, expect, it } from "vitest";
import { drawSpan } from "../../src/pane/rowView";
import { linkSpans } from "../../src/text/links";
import { plain, render } from "../../src/text/terminal";
import { ATTACKS } from "./attacks";

function drawn(line: string): HTMLElement {
  const element = document.createElement("div");
  for (const span of linkSpans(render(line).spans)) element.append(...drawSpan(span));
  return element;
}

describe("the attack corpus", () => {
  it("holds at least fifty attacks", () => {
    expect(ATTACKS.length).toBeGreaterThanOrEqual(50);
    expect(new Set(ATTACKS.map((attack) => attack.name)).size).toBe(ATTACKS.length);
  });

  it.each(ATTACKS.map((attack) => [attack.name, attack] as const))(
    "is shown as it is: %s",
    (_name, { line, reads, links = [], leads = [] }) => {
      expect(plain(line)).toBe(reads);
      expect(
        render(line)
          .spans.map((span) => span.text)
          .join(""),
      ).toBe(reads);
      const element = drawn(line);
      expect(element.textContent).toBe(reads);
      expect([...element.querySelectorAll("a")].map((link) => link.getAttribute("href"))).toEqual(links);
      expect([...element.querySelectorAll<HTMLElement>("[data-leads]")].map((link) => link.dataset["leads"])).toEqual(
        leads,
      );
      for (const inner of element.querySelectorAll("*")) {
        expect(["SPAN", "A"]).toContain(inner.tagName);
        for (const name of inner.getAttributeNames()) {
          expect(
            inner.tagName === "A"
              ? ["href", "rel", "target", "title", "class", "style", "data-leads"]
              : ["class", "style"],
          ).toContain(name);
        }
        expect(inner.getAttribute("style") ?? "").not.toMatch(/url|expression|javascript/i);
        if (inner.tagName === "A") expect(inner.getAttribute("rel")).toMatch(/noopener/);
      }
    },
  );
});
