import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BOLD, DIM, PLAIN, plain, RGB, render, STRIKE, UNDERLINE } from "../../src/text/terminal";

const E = "\u001b";

function styleOf(line: string, at = 0) {
  return render(line).spans[at]?.style ?? PLAIN;
}

describe("colours and weights", () => {
  it.each([
    [`${E}[31mx`, { fg: 1 }],
    [`${E}[97mx`, { fg: 15 }],
    [`${E}[44mx`, { bg: 4 }],
    [`${E}[103mx`, { bg: 11 }],
    [`${E}[38;5;208mx`, { fg: 208 }],
    [`${E}[38:5:208mx`, { fg: 208 }],
    [`${E}[38;2;1;2;3mx`, { fg: RGB + 0x010203 }],
    [`${E}[38:2::1:2:3mx`, { fg: RGB + 0x010203 }],
    [`${E}[38:2:1:2:3mx`, { fg: RGB + 0x010203 }],
    [`${E}[48;2;255;255;255;1mx`, { bg: RGB + 0xffffff, flags: BOLD }],
    [`${E}[1;2;4;9mx`, { flags: BOLD | DIM | UNDERLINE | STRIKE }],
    [`${E}[4:3mx`, { flags: UNDERLINE }],
    [`${E}[7mx`, { inverse: true }],
    [`${E}[1;31m${E}[22mx`, { fg: 1 }],
    [`${E}[1;31m${E}[39mx`, { flags: BOLD }],
    [`${E}[>4;2mx`, {}],
    [`${E}[?25mx`, {}],
  ] as const)("%j", (line, style) => {
    expect(styleOf(line)).toEqual({ ...PLAIN, ...style });
    expect(plain(line)).toBe("x");
  });

  it("continue in the stream's next line until they are reset", () => {
    const first = render(`${E}[31mred`);
    const second = render("still red", first.style);
    expect(second.spans[0]?.style?.fg).toBe(1);
    const third = render(`${E}[0mplain`, second.style);
    expect(third.spans).toEqual([{ text: "plain" }]);
    expect(third.style).toEqual(PLAIN);
  });

  it("join neighbouring text of one style into one span", () => {
    expect(render(`${E}[31ma${E}[31mb${E}[0m${E}[31mc`).spans).toHaveLength(1);
  });
});

describe("what a terminal shows of a line", () => {
  it.each([
    ["10%\r50%\r100%", "100%"],
    ["downloading 99%\rdone", "doneloading 99%"],
    [`downloading 99%\r${E}[Kdone`, "done"],
    [`${E}[2K\rstep 2`, "step 2"],
    ["windows line\r", "windows line"],
    ["abc\b\bX", "aXc"],
    [`abc${E}[2DX`, "aXc"],
    [`abc${E}[1GX`, "Xbc"],
    [`a${E}[3Cb`, "a   b"],
    [`abcdef${E}[3G${E}[2P`, "abef"],
    [`abcdef${E}[3G${E}[2X`, "ab  ef"],
    [`abc${E}[2G${E}[2@`, "a  bc"],
    [`abcdef${E}[3G${E}[1K`, "   def"],
    ["a\tb\rX", "X       b"],
    [`${E}[1A${E}[2Klast`, "last"],
    ["日本語\rX", "X本語"],
    ["👩‍🚀 ok", "👩‍🚀 ok"],
  ])("%j", (line, text) => {
    expect(plain(line)).toBe(text);
  });
});

describe("hostile lines", () => {
  it("cost only what their length costs", () => {
    for (const code of ["1K", "2000@", "2000X", "1P", "2000C", "2000D"]) {
      const line = `${"a".repeat(100_000)}\r${`${E}[${code}`.repeat(30_000)}`;
      // Without the bound this is billions of cells, and does not finish within the test's time.
      expect(plain(line).length).toBeLessThan(1_200_000);
    }
  }, 60_000);

  it("have a bounded number of spans and lose no text", () => {
    const line = Array.from({ length: 20_000 }, (_, at) => `${E}[38;5;${at % 256}mx`).join("");
    const { spans } = render(line);
    expect(spans.length).toBeLessThanOrEqual(2_000);
    expect(spans.map((span) => span.text).join("")).toBe("x".repeat(20_000));
  });
});

describe("for any text at all", () => {
  const pieces = fc.array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 8 }),
      fc.constantFrom(
        E,
        `${E}[`,
        `${E}]8;;`,
        `${E}\\`,
        "\r",
        "\b",
        "\u0007",
        "m",
        "31m",
        "https://a.example/",
        "\u202e",
        "\n",
        `${E}[2K`,
        `${E}[5C`,
      ),
    ),
    { maxLength: 30 },
  );

  it("plain() is what render() shows, without controls, and rendering it again changes nothing", () => {
    fc.assert(
      fc.property(pieces, (parts) => {
        const line = parts.join("");
        const text = plain(line);
        expect(
          render(line)
            .spans.map((span) => span.text)
            .join(""),
        ).toBe(text);
        // biome-ignore lint: control characters are the subject
        expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
        expect(plain(text)).toBe(text);
        for (const { href } of render(line).spans) if (href !== undefined) expect(href).toMatch(/^https?:\/\//);
      }),
      { numRuns: 2_000 },
    );
  });
});
